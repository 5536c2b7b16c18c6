//! An account is added, or changed.

use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::token::{Taken, Token, take};
use super::{Account, Answer, shown};
use crate::api::auth::{self, Caller, Write};
use crate::api::etag::{ETag, IfMatch};
use crate::api::extract::{Json as Body, NoQuery, given};
use crate::api::problem::{Kind, Place, Problem, Result};
use crate::api::values::IgId;
use crate::api::{Api, BASE};
use crate::connect::Owner;
use crate::instagram::identity::is_account_id;
use crate::instagram::time::canonical;
use crate::store::account_changes::{AccountChange, Changed};
use crate::store::accounts::{Added, NewAccount};

/// An account to be added
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewAccount)]
pub(super) struct NewAccountBody {
    /// The professional account's id with Instagram, as in `entry.id` of its webhooks
    #[schema(value_type = String, min_length = 1, max_length = 255, pattern = "^[!-~]+$", example = "17841405822304914")]
    instagram_business_account_id: IgId,
    /// What it calls itself; with a token, Meta tells
    #[serde(default, deserialize_with = "given")]
    #[schema(inline, nullable = false)]
    username: Option<IgId>,
    /// Its id for the app, by which Instagram's callbacks name it; with a token, Meta tells
    #[serde(default, deserialize_with = "given")]
    #[schema(inline, nullable = false)]
    app_scoped_id: Option<IgId>,
    /// Its access token: stored encrypted, never read back. Meta is asked whose it is
    #[serde(default, deserialize_with = "given")]
    #[schema(inline, nullable = false)]
    access_token: Option<Token>,
}

/// What is to be changed of an account; what is left out stays, and `null` takes it away
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::option_option,
    reason = "left out, null and a value are three things"
)]
pub(super) struct AccountPatch {
    /// What it calls itself
    #[serde(default, deserialize_with = "given")]
    #[schema(inline, value_type = Option<IgId>)]
    username: Option<Option<IgId>>,
    /// Its id for the app, by which Instagram's callbacks name it
    #[serde(default, deserialize_with = "given")]
    #[schema(inline, value_type = Option<IgId>)]
    app_scoped_id: Option<Option<IgId>>,
    /// Its access token: stored encrypted, never read back. Meta is asked whose it is, and what is not given above
    #[serde(default, deserialize_with = "given")]
    #[schema(inline, value_type = Option<Token>)]
    access_token: Option<Option<Token>>,
    /// Whether its events are processed
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    active: Option<bool>,
}

/// Adds an account: its traffic is expected from now on
///
/// The token must be one for all accounts. What came of the account before is processed by itself.
#[utoipa::path(
    post,
    path = "/accounts",
    tag = "accounts",
    operation_id = "addAccount",
    request_body = NewAccountBody,
    responses(
        (status = 201, description = "It is added", body = Account, headers(
            ("Location" = String, description = "Where it is"),
            ("ETag" = String, description = "Its state, for If-Match"),
        )),
        (status = 409, description = "There is such an account already, or it is being erased"),
        (status = 502, description = "Meta cannot be asked whose the token is"),
    ),
)]
pub(super) async fn create(
    _: NoQuery,
    caller: Caller<Write>,
    State(api): State<Api>,
    Body(body): Body<NewAccountBody>,
) -> Result<Response> {
    caller.require_all()?;
    let IgId(ig_account_id) = body.instagram_business_account_id;
    if !is_account_id(&ig_account_id) {
        return Err(Problem::field(
            Place::Body,
            "instagram_business_account_id",
            "it must be the number that Instagram sends as `entry.id`, such as 17841405822304914",
        ));
    }
    // Before Meta is asked.
    if api.store().account_called(&ig_account_id).await?.is_some() {
        return Err(there_already(&ig_account_id));
    }
    let id = Uuid::now_v7();
    let (sealed, owner) = match &body.access_token {
        Some(token) => {
            let Taken { sealed, owner } = take(&api, id, &ig_account_id, token).await?;
            (Some(sealed), owner)
        }
        None => (None, Owner::default()),
    };
    let account = NewAccount {
        id,
        ig_account_id: ig_account_id.clone(),
        username: body.username.map(|IgId(name)| name).or(owner.username),
        app_scoped_id: body
            .app_scoped_id
            .map(|IgId(id)| id)
            .or(owner.app_scoped_id),
        access_token: sealed,
    };
    match api.store().add_new_account(&account).await? {
        Added::New => {}
        Added::Again | Added::Already => return Err(there_already(&ig_account_id)),
        Added::BeingErased(since) => return Err(being_erased(&ig_account_id, since)),
    }
    let row = api.store().account(id).await?;
    let row = row.ok_or_else(|| Problem::no_such("account"))?;
    let (etag, account) = shown(&api, row).await?;
    let location = HeaderValue::from_str(&format!("{BASE}/accounts/{id}"));
    let location = location.map(|location| [(header::LOCATION, location)]);
    let location: Option<[(HeaderName, HeaderValue); 1]> = location.ok();
    let mut response = (StatusCode::CREATED, etag, account).into_response();
    response
        .headers_mut()
        .extend(location.into_iter().flatten());
    Ok(response)
}

fn there_already(ig_account_id: &str) -> Problem {
    Problem::new(
        Kind::Conflict,
        format!(
            "account {ig_account_id} is there already: change it with PATCH; one that is stopped becomes active with {{\"active\": true}}"
        ),
    )
}

fn being_erased(ig_account_id: &str, since: chrono::DateTime<chrono::Utc>) -> Problem {
    Problem::new(
        Kind::Conflict,
        format!(
            "account {ig_account_id} is being erased, since {}: add it when that is finished",
            canonical(since)
        ),
    )
}

/// Changes an account
///
/// Becomes active again, what waited for it is processed.
#[utoipa::path(
    patch,
    path = "/accounts/{accountId}",
    tag = "accounts",
    operation_id = "changeAccount",
    params(
        ("accountId" = Uuid, Path, description = "The account"),
        ("If-Match" = String, Header, description = "The ETag of what was read, or `*`"),
    ),
    request_body = AccountPatch,
    responses(
        (status = 200, description = "It is like this now", body = Account, headers(("ETag" = String, description = "Its state, for If-Match"))),
        (status = 409, description = "There is such an account already, or it is being erased"),
        (status = 412, description = "It was changed meanwhile"),
        (status = 428, description = "If-Match is missing"),
        (status = 502, description = "Meta cannot be asked whose the token is"),
    ),
)]
pub(super) async fn update(
    _: NoQuery,
    account: auth::Account<Write>,
    if_match: IfMatch,
    State(api): State<Api>,
    Body(patch): Body<AccountPatch>,
) -> Result<Answer> {
    let row = account.row;
    if_match.check(ETag::of(row.updated_at))?;
    let mut change = AccountChange {
        username: patch.username.map(|name| name.map(|IgId(name)| name)),
        app_scoped_id: patch.app_scoped_id.map(|id| id.map(|IgId(id)| id)),
        active: patch.active,
        access_token: None,
    };
    let ig_account_id = row.instagram_business_account_id.clone();
    match &patch.access_token {
        None => {}
        Some(None) => change.access_token = Some(None),
        Some(Some(token)) => {
            let Taken { sealed, owner } = take(&api, row.id, &ig_account_id, token).await?;
            change.access_token = Some(Some(sealed));
            change.username = change.username.or(owner.username.map(Some));
            change.app_scoped_id = change.app_scoped_id.or(owner.app_scoped_id.map(Some));
        }
    }
    if change.is_empty() {
        return shown(&api, row).await;
    }
    // With `*` whatever there is is overwritten; else what was seen, also if somebody was quicker.
    let seen = (if_match != IfMatch::Any).then_some(row.updated_at);
    match api.store().change_account(row.id, &change, seen).await? {
        Changed::Now(row) => shown(&api, *row).await,
        Changed::Meanwhile(_) => Err(IfMatch::failed()),
        Changed::BeingErased(since) => Err(being_erased(&ig_account_id, since)),
        Changed::Unknown => Err(Problem::no_such("account")),
    }
}
