//! What failed for good, and the way back.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::Api;
use super::auth::{Account, Read, Write};
use super::events::{self, Event};
use super::extract::{Json as Body, NoQuery, Path, Query, given};
use super::page::{At, Limit, Page};
use super::problem::{Kind, Place, Problem, Result};
use super::values::{EventId, EventType, Time};
use crate::replay::{ReplayError, Retried, once_more};
use crate::store::dead_letters::DeadLetters;
use crate::store::events::Wanted;

/// So many events can be named at once.
const MOST_NAMED: usize = 500;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(retry))
        .routes(routes!(discard))
}

/// These take as long as there are dead letters.
pub(super) fn slow_routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(retry_many))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Filters {
    /// Only of this type
    #[param(inline, nullable = false)]
    r#type: Option<EventType>,
    /// Only written to the log (`created_at`) then or later
    #[param(inline, nullable = false)]
    from: Option<Time>,
    /// Only written to the log (`created_at`) then or earlier
    #[param(inline, nullable = false)]
    to: Option<Time>,
    /// The `next_cursor` of the page before
    #[param(value_type = Option<String>, max_length = 512, nullable = false)]
    cursor: Option<At<events::Mark>>,
    /// How many at most
    #[param(inline, nullable = false)]
    limit: Option<Limit>,
}

/// The dead letters of an account, the newest first
#[utoipa::path(
    get,
    path = "/webhooks/dead-letters/{accountId}",
    tag = "dead letters",
    operation_id = "listDeadLetters",
    params(("accountId" = Uuid, Path, description = "The account"), Filters),
    responses((status = 200, description = "A page of dead letters", body = Page<Event>)),
)]
async fn list(
    account: Account<Read>,
    State(api): State<Api>,
    Query(filters): Query<Filters>,
) -> Result<Json<Page<Event>>> {
    let wanted = Wanted {
        event_type: filters.r#type.map(|EventType(of)| of.name.to_owned()),
        failed: Some(true),
        from: filters.from.map(|time| time.0),
        to: filters.to.map(|time| time.0),
        ..Wanted::default()
    };
    events::page(&api, &account.row, &wanted, filters.cursor, filters.limit).await
}

#[derive(Debug, Deserialize)]
struct OfDeadLetter {
    #[serde(rename = "receiptId")]
    receipt_id: Uuid,
}

impl OfDeadLetter {
    fn of(&self, account: &entity::client_account::Model) -> DeadLetters {
        DeadLetters {
            receipts: vec![self.receipt_id],
            ig_account_id: Some(account.instagram_business_account_id.clone()),
            ..DeadLetters::default()
        }
    }
}

/// How many were sent to their handlers once more
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Retried)]
struct Sent {
    /// Sent to their handlers, with all their attempts
    sent: usize,
    /// Left alone: a malformed item is the same again
    malformed: usize,
}

impl From<Retried> for Sent {
    fn from(Retried { sent, malformed }: Retried) -> Self {
        Self { sent, malformed }
    }
}

/// Have a dead letter tried again, with all its attempts
///
/// Harmless when repeated: one that is on its way is sent once.
#[utoipa::path(
    post,
    path = "/webhooks/dead-letters/{accountId}/{receiptId}/retry",
    tag = "dead letters",
    operation_id = "retryDeadLetter",
    params(
        ("accountId" = Uuid, Path, description = "The account"),
        ("receiptId" = Uuid, Path, description = "The receipt"),
    ),
    responses(
        (status = 202, description = "It is on its way to its handler", body = Sent),
        (status = 409, description = "It is malformed, and the same again: give it up"),
    ),
)]
async fn retry(
    _: NoQuery,
    account: Account<Write>,
    Path(path): Path<OfDeadLetter>,
    State(api): State<Api>,
) -> Result<(StatusCode, Json<Sent>)> {
    let retried = once_more(api.store(), api.connection(), &path.of(&account.row)).await?;
    match retried {
        Retried {
            sent: 0,
            malformed: 0,
        } => Err(Problem::no_such("dead letter")),
        Retried { sent: 0, .. } => Err(Problem::new(
            Kind::Conflict,
            "a malformed item is the same again; DELETE gives it up",
        )),
        retried => Ok((StatusCode::ACCEPTED, Json(retried.into()))),
    }
}

/// Give a dead letter up
///
/// It is not tried again and not listed any more; its row stays, as `discarded`.
#[utoipa::path(
    delete,
    path = "/webhooks/dead-letters/{accountId}/{receiptId}",
    tag = "dead letters",
    operation_id = "discardDeadLetter",
    params(
        ("accountId" = Uuid, Path, description = "The account"),
        ("receiptId" = Uuid, Path, description = "The receipt"),
    ),
    responses((status = 204, description = "It is given up")),
)]
async fn discard(
    _: NoQuery,
    account: Account<Write>,
    Path(path): Path<OfDeadLetter>,
    State(api): State<Api>,
) -> Result<StatusCode> {
    match api.store().discard(&path.of(&account.row)).await? {
        0 => Err(Problem::no_such("dead letter")),
        _ => Ok(StatusCode::NO_CONTENT),
    }
}

/// Which failed events; at least one has to be said, and all that are have to be so
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = RetryRequest, min_properties = 1)]
#[serde(deny_unknown_fields)]
struct Which {
    /// These events, by their `event_id`
    #[schema(min_items = 1, max_items = 500, nullable = false)]
    #[serde(default, deserialize_with = "named")]
    event_ids: Option<Vec<EventId>>,
    /// Of this type
    #[schema(nullable = false)]
    #[serde(default, deserialize_with = "given")]
    r#type: Option<EventType>,
    /// Received then or later
    #[schema(nullable = false)]
    #[serde(default, deserialize_with = "given")]
    since: Option<Time>,
}

fn named<'de, D: serde::Deserializer<'de>>(
    source: D,
) -> std::result::Result<Option<Vec<EventId>>, D::Error> {
    let ids = Vec::<EventId>::deserialize(source)?;
    if (1..=MOST_NAMED).contains(&ids.len()) {
        Ok(Some(ids))
    } else {
        Err(serde::de::Error::custom(format!(
            "it must hold 1 to {MOST_NAMED} events"
        )))
    }
}

/// Have failed events tried again, with all their attempts
///
/// Harmless when repeated: what was stored meanwhile has not failed any more, and what is on its way is sent once.
#[utoipa::path(
    post,
    path = "/webhooks/retry/{accountId}",
    tag = "dead letters",
    operation_id = "retry",
    params(("accountId" = Uuid, Path, description = "The account")),
    request_body = Which,
    responses((status = 202, description = "They are on their way to their handlers", body = Sent)),
)]
async fn retry_many(
    _: NoQuery,
    account: Account<Write>,
    State(api): State<Api>,
    Body(which): Body<Which>,
) -> Result<(StatusCode, Json<Sent>)> {
    let Which {
        event_ids,
        r#type,
        since,
    } = which;
    if event_ids.is_none() && r#type.is_none() && since.is_none() {
        return Err(Problem::field(
            Place::Body,
            "event_ids",
            "say which failed events: event_ids, type or since",
        ));
    }
    let which = DeadLetters {
        event_ids: event_ids.into_iter().flatten().map(|id| id.0).collect(),
        event_type: r#type.map(|EventType(of)| of.name.to_owned()),
        ig_account_id: Some(account.row.instagram_business_account_id),
        since: since.map(|time| time.0),
        ..DeadLetters::default()
    };
    let retried = once_more(api.store(), api.connection(), &which).await?;
    Ok((StatusCode::ACCEPTED, Json(retried.into())))
}

impl From<ReplayError> for Problem {
    fn from(error: ReplayError) -> Self {
        match error {
            ReplayError::Store(error) => error.into(),
            ReplayError::Unwritable(error) => Self::internal(&error),
            ReplayError::Unsent(_) | ReplayError::Journal(_) | ReplayError::Progress { .. } => {
                tracing::warn!(%error, "a request could not be answered for want of NATS");
                Self::unavailable(
                    "NATS does not take what is to be tried again; what was not sent is as it was: ask again later",
                )
            }
        }
    }
}
