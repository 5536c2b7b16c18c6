//! What is asked with the app's own token: where Instagram posts, and what of.
//!
//! Source: Meta, "App Subscriptions" (`/{app-id}/subscriptions`); an app's token is its number and its secret. Meta
//! makes the handshake with the callback URL before it answers the POST.

use reqwest::Method;
use serde::Deserialize;
use serde_json::Value;

use super::accounts::{done, segment};
use super::client::{Call, GraphClient, Mends};
use super::error::GraphError;
use crate::secret::Secret;

const OBJECT: &str = "instagram";

/// What the app is to be told of, and where.
#[derive(Debug, Clone)]
pub struct AppSubscription {
    /// The app's number.
    pub app_id: String,
    /// Where Instagram posts.
    pub callback_url: String,
    /// What it presents in the handshake.
    pub verify_token: Secret,
    /// What it tells of.
    pub fields: Vec<String>,
}

/// What the app is told of, as Meta has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscribed {
    /// Where Instagram posts.
    pub callback_url: String,
    /// Whether it does: not before the handshake was answered.
    pub active: bool,
    /// What it tells of.
    pub fields: Vec<String>,
}

#[derive(Deserialize)]
struct Subscriptions {
    #[serde(default)]
    data: Vec<Told>,
}

#[derive(Deserialize)]
struct Told {
    object: String,
    #[serde(default)]
    callback_url: String,
    #[serde(default)]
    active: bool,
    /// Objects with a name and a version; texts in old versions.
    #[serde(default)]
    fields: Vec<Value>,
}

impl GraphClient {
    /// Subscribes the app. `secret` is one of its secrets.
    pub async fn subscribe_app(
        &self,
        wanted: &AppSubscription,
        secret: &Secret,
    ) -> Result<(), GraphError> {
        let token = app_token(&wanted.app_id, secret);
        let fields = wanted.fields.join(",");
        let call = Call {
            method: Method::POST,
            path: subscriptions(&wanted.app_id),
            parameters: &[
                ("object", OBJECT),
                ("callback_url", wanted.callback_url.as_str()),
                ("verify_token", wanted.verify_token.expose()),
                ("fields", fields.as_str()),
            ],
            token: &token,
            mends: mends(Some(wanted.callback_url.clone())),
        };
        done(&call, &self.ask(&call).await?)
    }

    /// What the app is subscribed to of Instagram.
    pub async fn app_subscription(
        &self,
        app_id: &str,
        secret: &Secret,
    ) -> Result<Option<Subscribed>, GraphError> {
        let token = app_token(app_id, secret);
        let call = Call {
            method: Method::GET,
            path: subscriptions(app_id),
            parameters: &[],
            token: &token,
            mends: mends(None),
        };
        let all: Subscriptions = self.ask(&call).await?;
        let mut of_instagram = all.data.into_iter().filter(|told| told.object == OBJECT);
        Ok(of_instagram.next().map(Subscribed::from))
    }
}

impl From<Told> for Subscribed {
    fn from(told: Told) -> Self {
        let name = |field: &Value| {
            let name = field.get("name").unwrap_or(field);
            name.as_str().map(str::to_owned)
        };
        Self {
            callback_url: told.callback_url,
            active: told.active,
            fields: told.fields.iter().filter_map(name).collect(),
        }
    }
}

fn app_token(app_id: &str, secret: &Secret) -> Secret {
    Secret::new(format!("{app_id}|{}", secret.expose()))
}

fn subscriptions(app_id: &str) -> String {
    format!("/{}/subscriptions", segment(app_id))
}

fn mends(callback_url: Option<String>) -> Mends {
    Mends {
        permissions: Vec::new(),
        token: "`instagram.app_id` and one of `instagram.app_secrets` must be those of the same app (Meta's app dashboard, Settings, Basic)".to_owned(),
        callback_url,
    }
}
