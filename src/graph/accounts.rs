//! What is asked with an account's access token.
//!
//! Sources: Meta, "Instagram Platform: Webhooks" (`subscribed_apps`, and which permission a field needs) and
//! "Instagram API with Instagram Login: Get Started" (`/me`: `user_id` is the professional account's id, which
//! webhooks have in `entry.id`; `id` is scoped to the app, and is what the callbacks call `user_id`).

use reqwest::Method;
use serde::Deserialize;

use super::client::{Call, GraphClient, Mends};
use super::error::GraphError;
use crate::secret::Secret;

const GIVE_ANEW: &str = "have the shop connect again and store the new token, with `igstream accounts add ID --access-token-file FILE` or PATCH /api/instagram/accounts/{id}";

/// Whose an access token is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Profile {
    /// The professional account's id, as in `entry.id`.
    pub user_id: String,
    /// Its id for this app, by which the callbacks name it.
    #[serde(rename = "id")]
    pub app_scoped_id: String,
    /// What it calls itself.
    pub username: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Done {
    #[serde(default)]
    pub(super) success: bool,
}

#[derive(Deserialize)]
struct Apps {
    #[serde(default)]
    data: Vec<App>,
}

#[derive(Deserialize)]
struct App {
    #[serde(default)]
    subscribed_fields: Vec<String>,
}

impl GraphClient {
    /// Has Instagram tell of an account.
    pub async fn subscribe(
        &self,
        ig_account_id: &str,
        fields: &[String],
        token: &Secret,
    ) -> Result<(), GraphError> {
        let joined = fields.join(",");
        let call = Call {
            parameters: &[("subscribed_fields", joined.as_str())],
            mends: mends(permissions(fields)),
            ..call(Method::POST, subscribed_apps(ig_account_id), token)
        };
        done(&call, &self.ask(&call).await?)
    }

    /// The fields that Instagram tells of, of an account.
    pub async fn subscribed_fields(
        &self,
        ig_account_id: &str,
        token: &Secret,
    ) -> Result<Vec<String>, GraphError> {
        let call = call(Method::GET, subscribed_apps(ig_account_id), token);
        let apps: Apps = self.ask(&call).await?;
        let fields = apps.data.into_iter().flat_map(|app| app.subscribed_fields);
        Ok(fields.collect())
    }

    /// Has Instagram tell nothing more of an account.
    pub async fn unsubscribe(&self, ig_account_id: &str, token: &Secret) -> Result<(), GraphError> {
        let call = call(Method::DELETE, subscribed_apps(ig_account_id), token);
        done(&call, &self.ask(&call).await?)
    }

    /// Whose the token is.
    pub async fn profile(&self, token: &Secret) -> Result<Profile, GraphError> {
        let call = Call {
            parameters: &[("fields", "user_id,id,username")],
            ..call(Method::GET, "/me".to_owned(), token)
        };
        self.ask(&call).await
    }
}

fn call(method: Method, path: String, token: &Secret) -> Call<'_> {
    Call {
        method,
        path,
        parameters: &[],
        token,
        mends: mends(permissions(&[])),
    }
}

fn mends(permissions: Vec<&'static str>) -> Mends {
    Mends {
        permissions,
        token: GIVE_ANEW.to_owned(),
        callback_url: None,
    }
}

pub(super) fn done(call: &Call<'_>, answer: &Done) -> Result<(), GraphError> {
    if answer.success {
        return Ok(());
    }
    Err(GraphError::NotDone {
        asked: call.asked(),
    })
}

fn subscribed_apps(ig_account_id: &str) -> String {
    format!("/{}/subscribed_apps", segment(ig_account_id))
}

/// An id cannot leave its place in the path.
pub(super) fn segment(id: &str) -> String {
    url::form_urlencoded::byte_serialize(id.as_bytes()).collect()
}

/// Whether a text can be the name of a webhook field.
#[must_use]
pub fn is_field(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    (1..=64).contains(&text.len()) && text.bytes().all(is_letter)
}

/// What a token must be allowed for these fields.
fn permissions(fields: &[String]) -> Vec<&'static str> {
    let mut needed = vec!["instagram_business_basic"];
    for field in fields {
        let more = match field.as_str() {
            "comments" | "live_comments" | "mentions" => "instagram_business_manage_comments",
            "story_insights" => "instagram_business_manage_insights",
            _ => "instagram_business_manage_messages",
        };
        if !needed.contains(&more) {
            needed.push(more);
        }
    }
    needed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_need_their_permissions() {
        let fields = ["messages", "messaging_seen", "comments"].map(str::to_owned);
        assert_eq!(
            permissions(&fields),
            [
                "instagram_business_basic",
                "instagram_business_manage_messages",
                "instagram_business_manage_comments"
            ]
        );
    }

    #[test]
    fn an_id_stays_in_its_place() {
        assert_eq!(subscribed_apps("17841"), "/17841/subscribed_apps");
        assert_eq!(
            subscribed_apps("../me?x=1#"),
            "/..%2Fme%3Fx%3D1%23/subscribed_apps"
        );
    }
}
