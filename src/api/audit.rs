//! `GET /webhooks/audit`: whether all that was received is stored.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::auth::{Caller, Read};
use super::extract::Query;
use super::problem::{Problem, Result};
use crate::audit::{AuditError, Ledger, Sources, audit};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(ledger))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Asked {
    /// Begin at the journal: understand each delivery in it afresh, and look for its items one by one
    #[param(nullable = false)]
    deep: Option<bool>,
}

/// The ledger: what was received against what is stored
///
/// For tokens of all accounts. It reads the streams and the database, and can take minutes where they hold millions;
/// one is drawn up at a time.
#[utoipa::path(
    get,
    path = "/webhooks/audit",
    tag = "audit",
    operation_id = "audit",
    params(Asked),
    responses((status = 200, description = "The ledger; `balances` says whether all is there", body = Ledger)),
)]
async fn ledger(
    caller: Caller<Read>,
    State(api): State<Api>,
    Query(asked): Query<Asked>,
) -> Result<Json<Ledger>> {
    caller.require_all()?;
    let Ok(_turn) = api.audits().try_acquire() else {
        return Err(Problem::unavailable(
            "another ledger is being drawn up; ask again later",
        ));
    };
    let sources = Sources {
        context: &api.connection().consume,
        topology: api.topology(),
        store: api.store(),
        keep: api.keep(),
    };
    let ledger = audit(&sources, asked.deep.unwrap_or(false)).await;
    ledger.map(Json).map_err(not_drawn_up)
}

fn not_drawn_up(error: AuditError) -> Problem {
    match error {
        AuditError::Store(error) => error.into(),
        AuditError::Topology(error) => Problem::internal(&error),
        AuditError::Pages(_) | AuditError::Consumer { .. } => {
            tracing::warn!(%error, "no ledger could be drawn up");
            Problem::unavailable("the streams cannot be read; ask again later")
        }
    }
}
