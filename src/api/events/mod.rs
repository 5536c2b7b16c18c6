//! `GET /webhooks/events/{accountId}`: what came for an account, and what became of it.

mod one;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use entity::client_account;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::Api;
use super::auth::{Account, Read};
use super::extract::Query;
use super::page::{At, Cursor, Limit, Page};
use super::problem::{Place, Problem, Result};
use super::values::{EventId, EventType, IgId, Time};
use crate::store::events::{Found, Listed, Place as InList, Wanted, Whose};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(one::show))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Filters {
    /// Only of this type
    #[param(inline, nullable = false)]
    r#type: Option<EventType>,
    /// Whether nothing is left to do: stored, a duplicate, or an unknown one that was kept
    #[param(nullable = false)]
    processed: Option<bool>,
    /// Whether it failed for good: it is a dead letter
    #[param(nullable = false)]
    failed: Option<bool>,
    /// Whether Instagram had told it before
    #[param(nullable = false)]
    duplicate: Option<bool>,
    /// Only caused by this person, by the id that Instagram gives them
    #[param(inline, nullable = false)]
    sender: Option<IgId>,
    /// Only written to the log (`created_at`) then or later
    #[param(inline, nullable = false)]
    from: Option<Time>,
    /// Only written to the log (`created_at`) then or earlier
    #[param(inline, nullable = false)]
    to: Option<Time>,
    /// Only about the object with exactly this id, or with exactly this event id
    #[param(inline, nullable = false)]
    q: Option<EventId>,
    /// The `next_cursor` of the page before
    #[param(value_type = Option<String>, max_length = 512, nullable = false)]
    cursor: Option<At<Mark>>,
    /// How many at most
    #[param(inline, nullable = false)]
    limit: Option<Limit>,
}

/// An event as it was received, and what became of it
#[derive(Debug, Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "as in the log")]
pub(super) struct Event {
    /// The item that was received: one receipt, one row
    receipt_id: Uuid,
    /// What happened: the same again when Instagram tells it again
    event_id: String,
    /// One of the nine types, or `unknown`
    event_type: String,
    /// The account's id with Instagram, as received
    ig_account_id: String,
    /// Where in the entry it came: `changes`, `field`, `messaging` or `standby`
    #[schema(required)]
    origin: Option<String>,
    /// What it is about
    #[schema(required)]
    object_type: Option<String>,
    /// The id of that
    #[schema(required)]
    object_id: Option<String>,
    /// Who caused it
    #[schema(required)]
    sender_ig_id: Option<String>,
    /// The name of who caused it
    #[schema(required)]
    sender_username: Option<String>,
    /// `stored`, `duplicate`, `retrying`, `dead`, `unassigned` or `discarded`
    status: String,
    /// Whether nothing is left to do
    processed: bool,
    /// Since when
    #[schema(required)]
    processed_at: Option<DateTime<Utc>>,
    /// How often storing it was tried; outages do not count
    #[schema(minimum = 0)]
    processing_attempts: i32,
    /// How often it became a dead letter
    #[schema(minimum = 0)]
    deaths: i32,
    /// What the last failed attempt said
    #[schema(required)]
    last_processing_error: Option<String>,
    /// Whether Instagram had told it before
    is_duplicate: bool,
    /// The receipt of the first telling
    #[schema(required)]
    duplicate_of: Option<Uuid>,
    /// The delivery it came in
    delivery_id: Uuid,
    /// When it happened, as Instagram says
    occurred_at: DateTime<Utc>,
    /// When its delivery arrived
    received_at: DateTime<Utc>,
    /// When it was written to the log; lists are in this order
    created_at: DateTime<Utc>,
    /// When its row was last changed
    updated_at: DateTime<Utc>,
}

impl From<Listed> for Event {
    fn from(row: Listed) -> Self {
        Self {
            receipt_id: row.id,
            event_id: row.event_id,
            event_type: row.event_type,
            ig_account_id: row.ig_account_id,
            origin: row.origin,
            object_type: row.object_type,
            object_id: row.object_id,
            sender_ig_id: row.sender_ig_id,
            sender_username: row.sender_username,
            status: row.status,
            processed: row.processed,
            processed_at: row.processed_at,
            processing_attempts: row.processing_attempts,
            deaths: row.deaths,
            last_processing_error: row.last_processing_error,
            is_duplicate: row.is_duplicate,
            duplicate_of: row.duplicate_of,
            delivery_id: row.delivery_id,
            occurred_at: row.occurred_at,
            received_at: row.received_at,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// The events of an account, the newest first
///
/// A page that is not the last one may be short, or even empty, where few events match: `next_cursor` goes on.
#[utoipa::path(
    get,
    path = "/webhooks/events/{accountId}",
    tag = "events",
    operation_id = "listEvents",
    params(("accountId" = Uuid, Path, description = "The account"), Filters),
    responses((status = 200, description = "A page of events", body = Page<Event>)),
)]
async fn list(
    account: Account<Read>,
    State(api): State<Api>,
    Query(filters): Query<Filters>,
) -> Result<Json<Page<Event>>> {
    let (cursor, limit) = (filters.cursor, filters.limit);
    page(&api, &account.row, &filters.wanted(), cursor, limit).await
}

/// Where a page ended: when that event was written, in microseconds since 1970, and its receipt.
pub(super) type Mark = (i64, Uuid);

/// A page of the events that are wanted.
pub(super) async fn page(
    api: &Api,
    account: &client_account::Model,
    wanted: &Wanted,
    cursor: Option<At<Mark>>,
    limit: Option<Limit>,
) -> Result<Json<Page<Event>>> {
    if let (Some(from), Some(to)) = (wanted.from, wanted.to)
        && from > to
    {
        return Err(Problem::field(
            Place::Query,
            "from",
            "it must not be later than to",
        ));
    }
    let whose = Whose {
        id: account.id,
        ig_account_id: &account.instagram_business_account_id,
    };
    let behind = cursor.map(place).transpose()?;
    let limit = limit.unwrap_or_default().items();
    let Found { events, next } = api.store().events(whose, wanted, behind, limit).await?;
    Ok(Json(Page {
        items: events.into_iter().map(Event::from).collect(),
        next_cursor: next.map(|place| Cursor::at(&mark(place))),
    }))
}

fn mark(place: InList) -> Mark {
    (place.created_at.timestamp_micros(), place.id)
}

fn place(At((micros, id)): At<Mark>) -> Result<InList> {
    let created_at = DateTime::from_timestamp_micros(micros).ok_or_else(Cursor::wrong)?;
    Ok(InList { created_at, id })
}

impl Filters {
    fn wanted(self) -> Wanted {
        Wanted {
            event_type: self.r#type.map(|EventType(of)| of.name.to_owned()),
            processed: self.processed,
            failed: self.failed,
            duplicate: self.duplicate,
            sender: self.sender.map(|id| id.0),
            from: self.from.map(|time| time.0),
            to: self.to.map(|time| time.0),
            id: self.q.map(|id| id.0),
        }
    }
}
