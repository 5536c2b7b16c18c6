//! `GET /webhooks/events/{accountId}/{receiptId}`: all that is known of one.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use uuid::Uuid;

use super::Event;
use crate::api::Api;
use crate::api::auth::{Account, Read};
use crate::api::extract::{NoQuery, Path};
use crate::api::problem::{Problem, Result};
use crate::store::event::Whole;

/// Everything that is known of an event
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EventDetail)]
pub(super) struct Detail {
    #[serde(flatten)]
    event: Event,
    /// The item as received; `null` where it was blanked
    #[schema(required, value_type = serde_json::Value)]
    payload: Option<Box<RawValue>>,
    /// The rows it left, as they are now
    rows: Vec<TypedRow>,
}

/// A row that an event left, or told of
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TypedRow {
    /// Its table
    table: &'static str,
    /// Its columns
    #[schema(value_type = Object)]
    row: serde_json::Map<String, serde_json::Value>,
}

#[derive(Deserialize)]
pub(super) struct OfEvent {
    #[serde(rename = "receiptId")]
    receipt_id: Uuid,
}

/// One event, with its payload and its rows
#[utoipa::path(
    get,
    path = "/webhooks/events/{accountId}/{receiptId}",
    tag = "events",
    operation_id = "getEvent",
    params(
        ("accountId" = Uuid, Path, description = "The account"),
        ("receiptId" = Uuid, Path, description = "The receipt"),
    ),
    responses((status = 200, description = "The event", body = Detail)),
)]
pub(super) async fn show(
    _: NoQuery,
    account: Account<Read>,
    Path(path): Path<OfEvent>,
    State(api): State<Api>,
) -> Result<Json<Detail>> {
    let found = api.store().event(account.row.id, path.receipt_id).await?;
    let Whole {
        event,
        payload,
        rows,
    } = found.ok_or_else(|| Problem::no_such("event"))?;
    Ok(Json(Detail {
        event: event.into(),
        payload,
        rows: rows
            .into_iter()
            .map(|(table, row)| TypedRow { table, row })
            .collect(),
    }))
}
