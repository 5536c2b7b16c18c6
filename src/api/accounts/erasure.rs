//! An account is stopped, or erased.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use entity::erased_account::Model;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::api::auth::{self, Caller, Read, Write};
use crate::api::extract::{NoQuery, Path, Query};
use crate::api::problem::{Problem, Result};
use crate::api::values::IgId;
use crate::api::{Api, BASE};
use crate::store::erasure::Begun;

/// An erasure: it goes on in the background, also when the service is started again
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Erasure {
    /// The account's id with Instagram
    instagram_business_account_id: String,
    /// How it stands
    state: Standing,
    /// When it was asked for: what came up to then is deleted
    requested_at: DateTime<Utc>,
    /// When nothing was left of it outside the journal
    #[schema(required)]
    finished_at: Option<DateTime<Utc>>,
}

/// How an erasure stands
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ErasureState)]
enum Standing {
    /// Rows and messages are being deleted
    InProgress,
    /// Nothing is left outside the journal
    Finished,
}

impl From<Model> for Erasure {
    fn from(tombstone: Model) -> Self {
        Self {
            instagram_business_account_id: tombstone.ig_account_id,
            state: if tombstone.finished_at.is_some() {
                Standing::Finished
            } else {
                Standing::InProgress
            },
            requested_at: tombstone.erased_at,
            finished_at: tombstone.finished_at,
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Options {
    /// Whether its rows and its messages go too, in every stream but the journal
    #[param(nullable = false)]
    erase: Option<bool>,
}

/// Stops an account; with `erase`, deletes all that came of it
///
/// The token must be one for all accounts. Without `erase` its rows stay, and what comes of it is kept as
/// unassigned. With it, rows and messages are deleted in the background. Instagram goes on sending until the account's
/// subscription is deleted: do that first.
#[utoipa::path(
    delete,
    path = "/accounts/{accountId}",
    tag = "accounts",
    operation_id = "deleteAccount",
    params(("accountId" = Uuid, Path, description = "The account"), Options),
    responses(
        (status = 202, description = "It is being erased", body = Erasure, headers(("Location" = String, description = "Where to ask how that stands"))),
        (status = 204, description = "It is stopped"),
    ),
)]
pub(super) async fn remove(
    account: auth::Account<Write>,
    State(api): State<Api>,
    Query(options): Query<Options>,
) -> Result<Response> {
    account.caller.require_all()?;
    let ig_account_id = account.row.instagram_business_account_id;
    if !options.erase.unwrap_or_default() {
        api.store().remove_account(&ig_account_id).await?;
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    match api.store().begin_erasure(&ig_account_id).await? {
        Begun::Now(tombstone) | Begun::Before(tombstone) | Begun::Finished(tombstone) => {
            tracing::info!(
                account = ig_account_id,
                by = account.caller.subject(),
                "an account is to be erased"
            );
            Ok(accepted(tombstone))
        }
        Begun::Unknown => Err(Problem::no_such("account")),
    }
}

fn accepted(tombstone: Model) -> Response {
    let name: String =
        url::form_urlencoded::byte_serialize(tombstone.ig_account_id.as_bytes()).collect();
    let location = HeaderValue::from_str(&format!("{BASE}/erasures/{name}"));
    let mut response = (StatusCode::ACCEPTED, Json(Erasure::from(tombstone))).into_response();
    if let Ok(location) = location {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

#[derive(Deserialize)]
pub(super) struct OfErasure {
    #[serde(rename = "igAccountId")]
    ig_account_id: IgId,
}

/// How the erasing of an account stands
///
/// By the account's id with Instagram: its row goes. The token must be one for all accounts.
#[utoipa::path(
    get,
    path = "/erasures/{igAccountId}",
    tag = "accounts",
    operation_id = "getErasure",
    params(("igAccountId" = inline(IgId), Path, description = "The account's id with Instagram")),
    responses((status = 200, description = "The last time that it was erased", body = Erasure)),
)]
pub(super) async fn show(
    _: NoQuery,
    caller: Caller<Read>,
    State(api): State<Api>,
    Path(path): Path<OfErasure>,
) -> Result<Json<Erasure>> {
    caller.require_all()?;
    let tombstone = api.store().tombstone(&path.ig_account_id.0).await?;
    let tombstone = tombstone.ok_or_else(|| Problem::no_such("erasure"))?;
    Ok(Json(tombstone.into()))
}
