//! `/accounts`: the accounts whose traffic is expected.

mod change;
mod erasure;
mod token;

use std::collections::HashMap;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use entity::{client_account, erased_account};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::Api;
use super::auth::{self, Accounts, Caller, Read};
use super::etag::ETag;
use super::extract::{NoQuery, Query};
use super::page::{At, Limit, Page};
use super::problem::Result;

pub(super) use token::open;

/// What is answered at once.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show, erasure::remove))
        .routes(routes!(erasure::show))
}

/// What may ask Meta, and wait for it.
pub(super) fn slow_routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(change::create))
        .routes(routes!(change::update))
}

/// An account whose traffic is expected. Its access token is written, and never read back
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Account {
    /// Its id here
    id: Uuid,
    /// The professional account's id with Instagram, as in `entry.id` of its webhooks
    instagram_business_account_id: String,
    /// Its id for the app, by which Instagram's callbacks name it
    #[schema(required)]
    app_scoped_id: Option<String>,
    /// What it calls itself
    #[schema(required)]
    username: Option<String>,
    /// Whether an access token is stored
    has_access_token: bool,
    /// Whether its events are processed; those of a stopped one are kept as unassigned
    active: bool,
    /// Since when it is being erased, if it is
    #[schema(required)]
    being_erased_since: Option<DateTime<Utc>>,
    /// When it was added
    created_at: DateTime<Utc>,
    /// When it was last changed
    updated_at: DateTime<Utc>,
}

impl Account {
    fn of(row: client_account::Model, being_erased_since: Option<DateTime<Utc>>) -> Self {
        Self {
            id: row.id,
            instagram_business_account_id: row.instagram_business_account_id,
            app_scoped_id: row.app_scoped_id,
            username: row.username,
            has_access_token: row.access_token.is_some(),
            active: row.active,
            being_erased_since,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }

    fn etag(&self) -> ETag {
        ETag::of(self.updated_at)
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Filters {
    /// The `next_cursor` of the page before
    #[param(value_type = Option<String>, max_length = 512, nullable = false)]
    cursor: Option<At<String>>,
    /// How many at most
    #[param(inline, nullable = false)]
    limit: Option<Limit>,
}

/// The accounts that the token may see, by their ids with Instagram
#[utoipa::path(
    get,
    path = "/accounts",
    tag = "accounts",
    operation_id = "listAccounts",
    params(Filters),
    responses((status = 200, description = "A page of accounts", body = Page<Account>)),
)]
async fn list(
    caller: Caller<Read>,
    State(api): State<Api>,
    Query(filters): Query<Filters>,
) -> Result<Json<Page<Account>>> {
    let limit = filters.limit.unwrap_or_default();
    let after = filters.cursor.map(|At(place)| place);
    let of = match caller.accounts() {
        Accounts::All => None,
        Accounts::Only(accounts) => Some(accounts),
    };
    let rows = api
        .store()
        .accounts_after(of, after.as_deref(), limit.and_one())
        .await?;
    let erased: HashMap<String, DateTime<Utc>> = api
        .store()
        .erasures()
        .await?
        .into_iter()
        .map(|erasure| (erasure.ig_account_id, erasure.erased_at))
        .collect();
    let accounts = rows.into_iter().map(|row| {
        let since = erased.get(&row.instagram_business_account_id).copied();
        Account::of(row, since)
    });
    let place = |account: &Account| account.instagram_business_account_id.clone();
    Ok(Json(Page::of(accounts.collect(), limit, place)))
}

/// One account
#[utoipa::path(
    get,
    path = "/accounts/{accountId}",
    tag = "accounts",
    operation_id = "getAccount",
    params(("accountId" = Uuid, Path, description = "The account")),
    responses((status = 200, description = "The account", body = Account, headers(("ETag" = String, description = "Its state, for If-Match")))),
)]
async fn show(_: NoQuery, account: auth::Account<Read>, State(api): State<Api>) -> Result<Answer> {
    shown(&api, account.row).await
}

/// An account with its tag.
type Answer = (
    [(axum::http::HeaderName, axum::http::HeaderValue); 1],
    Json<Account>,
);

async fn shown(api: &Api, row: client_account::Model) -> Result<Answer> {
    let tombstone = api
        .store()
        .tombstone(&row.instagram_business_account_id)
        .await?;
    let under_way =
        tombstone.filter(|tombstone: &erased_account::Model| tombstone.finished_at.is_none());
    let account = Account::of(row, under_way.map(|tombstone| tombstone.erased_at));
    Ok(([account.etag().header()], Json(account)))
}
