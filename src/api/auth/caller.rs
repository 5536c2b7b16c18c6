//! Who calls, as an extractor: a handler that takes one cannot forget to ask.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::header;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::Response;
use chrono::Utc;
use entity::client_account;
use sea_orm::EntityTrait as _;
use serde::Deserialize;
use uuid::Uuid;

use super::claims::{Accounts, Claims, Scope};
use crate::api::Api;
use crate::api::extract::Path;
use crate::api::problem::{Kind, Problem};
use crate::api::rate::Digest;

/// What a handler needs the caller to be allowed.
pub trait Granted: Send + Sync + 'static {
    /// The scope.
    const SCOPE: Scope;
}

/// `webhooks:read`
#[derive(Debug, Clone, Copy)]
pub enum Read {}

/// `webhooks:write`
#[derive(Debug, Clone, Copy)]
pub enum Write {}

impl Granted for Read {
    const SCOPE: Scope = Scope::Read;
}

impl Granted for Write {
    const SCOPE: Scope = Scope::Write;
}

/// Whoever sent the request, with a good token that has the scope.
#[derive(Debug, Clone)]
pub struct Caller<S> {
    who: Arc<Who>,
    scope: PhantomData<S>,
}

/// Who sent a request, and by which token.
#[derive(Debug)]
struct Who {
    claims: Claims,
    token: Digest,
}

impl<S> Caller<S> {
    /// The accounts the caller may see.
    #[must_use]
    pub fn accounts(&self) -> &Accounts {
        &self.who.claims.accounts
    }

    /// The token, as it is counted.
    #[must_use]
    pub fn token(&self) -> Digest {
        self.who.token
    }

    /// How long the token is still good.
    #[must_use]
    pub fn good_for(&self) -> Duration {
        let left = self.who.claims.ends.saturating_sub(Utc::now().timestamp());
        Duration::from_secs(u64::try_from(left).unwrap_or_default())
    }

    /// Who it is, for the log and for what is written down.
    #[must_use]
    pub fn subject(&self) -> &str {
        self.who.claims.subject.as_deref().unwrap_or("-")
    }

    /// 403 unless the caller may see all accounts.
    ///
    /// # Errors
    /// The problem to answer.
    pub fn require_all(&self) -> Result<(), Problem> {
        if self.who.claims.accounts == Accounts::All {
            return Ok(());
        }
        Err(Problem::new(
            Kind::Forbidden,
            "it is about all accounts: a token is needed whose accounts are \"*\"",
        ))
    }

    /// The account, if there is one and the caller may see it; else 404, the same in both cases.
    ///
    /// # Errors
    /// The problem to answer.
    pub async fn account(&self, api: &Api, id: Uuid) -> Result<client_account::Model, Problem> {
        let found = if self.who.claims.accounts.have(id) {
            client_account::Entity::find_by_id(id)
                .one(api.store().database())
                .await?
        } else {
            None
        };
        found.ok_or_else(|| Problem::no_such("account"))
    }
}

impl<S: Granted> FromRequestParts<Api> for Caller<S> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, Problem> {
        // Put there by `authenticate`, through which every route goes.
        let who: Option<&Arc<Who>> = parts.extensions.get();
        let who = who.ok_or_else(|| Problem::internal(&"nobody asked who calls"))?;
        if !who.claims.scopes.contains(&S::SCOPE) {
            let scope = S::SCOPE.name();
            let challenge = format!(
                "Bearer realm=\"igstream\", error=\"insufficient_scope\", scope=\"{scope}\""
            );
            return Err(Problem::new(
                Kind::Forbidden,
                format!("the token lacks the scope {scope}"),
            )
            .header(header::WWW_AUTHENTICATE, &challenge));
        }
        Ok(Self {
            who: Arc::clone(who),
            scope: PhantomData,
        })
    }
}

/// The account that `{accountId}` in the path names, which the caller may see.
#[derive(Debug, Clone)]
pub struct Account<S> {
    /// Its row.
    pub row: client_account::Model,
    /// Who asks.
    pub caller: Caller<S>,
}

#[derive(Deserialize)]
struct OfAccount {
    #[serde(rename = "accountId")]
    account_id: Uuid,
}

impl<S: Granted> FromRequestParts<Api> for Account<S> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let caller = Caller::from_request_parts(parts, api).await?;
        let Path(path) = Path::<OfAccount>::from_request_parts(parts, api).await?;
        let row = caller.account(api, path.account_id).await?;
        Ok(Self { row, caller })
    }
}

/// Finds out who sent a request, and whether they may send another one now.
pub(in crate::api) async fn authenticate(
    State(api): State<Api>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let (claims, token) = api.authority().identify(request.headers()).await?;
    let token = api.rates().digest(&token);
    api.rates().take(token)?;
    if let Some(subject) = &claims.subject {
        tracing::Span::current().record("subject", subject);
    }
    let who = Who { claims, token };
    request.extensions_mut().insert(Arc::new(who));
    Ok(next.run(request).await)
}
