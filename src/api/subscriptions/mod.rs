//! `/webhooks/subscriptions`: what Instagram tells of each account.

mod change;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use entity::webhook_subscription::Model;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::Api;
use super::auth::{Accounts, Caller, Granted, Read};
use super::extract::{NoQuery, Path, Query};
use super::page::{At, Limit, Page};
use super::problem::{Problem, Result};

/// What is answered at once.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show))
}

/// What asks Meta, and waits for it.
pub(super) fn slow_routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(change::create))
        .routes(routes!(change::remove))
}

/// What Instagram tells of an account
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Subscription {
    /// Its id
    id: Uuid,
    /// The account
    account_id: Uuid,
    /// The fields that were asked for; empty where somebody else has subscribed the account
    fields: Vec<String>,
    /// `active`, or `stopped` where the shop has removed the app
    status: String,
    /// How many events came of the account
    #[schema(minimum = 0)]
    events_received_count: i64,
    /// When the last one came
    #[schema(required)]
    last_event_at: Option<DateTime<Utc>>,
    /// When it was made
    created_at: DateTime<Utc>,
    /// When it was last changed, also by an event
    updated_at: DateTime<Utc>,
}

impl From<Model> for Subscription {
    fn from(row: Model) -> Self {
        let fields = row.fields.as_array().into_iter().flatten();
        let fields = fields.filter_map(|field| field.as_str().map(str::to_owned));
        Self {
            id: row.id,
            account_id: row.account_id,
            fields: fields.collect(),
            status: row.status,
            events_received_count: row.events_received_count,
            last_event_at: row.last_event_at,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Filters {
    /// The `next_cursor` of the page before
    #[param(value_type = Option<String>, max_length = 512, nullable = false)]
    cursor: Option<At<Uuid>>,
    /// How many at most
    #[param(inline, nullable = false)]
    limit: Option<Limit>,
}

/// The subscriptions of the accounts that the token may see
#[utoipa::path(
    get,
    path = "/webhooks/subscriptions",
    tag = "subscriptions",
    operation_id = "listSubscriptions",
    params(Filters),
    responses((status = 200, description = "A page of subscriptions", body = Page<Subscription>)),
)]
async fn list(
    caller: Caller<Read>,
    State(api): State<Api>,
    Query(filters): Query<Filters>,
) -> Result<Json<Page<Subscription>>> {
    let limit = filters.limit.unwrap_or_default();
    let after = filters.cursor.map(|At(id)| id);
    let of = match caller.accounts() {
        Accounts::All => None,
        Accounts::Only(accounts) => Some(accounts),
    };
    let rows = api
        .store()
        .subscriptions(of, after, limit.and_one())
        .await?;
    let items = rows.into_iter().map(Subscription::from).collect();
    Ok(Json(Page::of(items, limit, |one: &Subscription| one.id)))
}

#[derive(Deserialize)]
struct OfSubscription {
    #[serde(rename = "subscriptionId")]
    subscription_id: Uuid,
}

/// One subscription
#[utoipa::path(
    get,
    path = "/webhooks/subscriptions/{subscriptionId}",
    tag = "subscriptions",
    operation_id = "getSubscription",
    params(("subscriptionId" = Uuid, Path, description = "The subscription")),
    responses((status = 200, description = "The subscription", body = Subscription)),
)]
async fn show(
    _: NoQuery,
    caller: Caller<Read>,
    State(api): State<Api>,
    Path(path): Path<OfSubscription>,
) -> Result<Json<Subscription>> {
    let row = found(&api, &caller, path.subscription_id).await?;
    Ok(Json(row.into()))
}

/// The subscription, if there is one and the caller may see its account.
async fn found<S: Granted>(api: &Api, caller: &Caller<S>, id: Uuid) -> Result<Model> {
    let row = api.store().subscription(id).await?;
    row.filter(|row| caller.accounts().have(row.account_id))
        .ok_or_else(|| Problem::no_such("subscription"))
}
