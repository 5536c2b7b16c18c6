//! `POST /webhooks/replay/{accountId}`: stored events are processed again, in the background.
//!
//! What a replay has done is kept in this process's memory: whoever asks another process is told that there is none.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use chrono::{DateTime, Utc};
use entity::client_account;
use serde::{Deserialize, Serialize};
use tracing::{info, warn};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::auth::{Account, Caller, Read, Write};
use super::extract::{Json as Body, NoQuery, Path, given};
use super::problem::{Kind, Place, Problem, Result};
use super::values::{EventType, Time};
use super::{Api, BASE};
use crate::replay::{Ask, Report, from_log_telling};
use crate::store::replayable::Replayable;

/// So many go on at once; one an account.
const AT_ONCE: usize = 4;
/// So many are remembered.
const REMEMBERED: usize = 200;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(begin))
        .routes(routes!(show))
}

/// Which stored events; all of the account where nothing is said
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = ReplayRequest)]
#[serde(deny_unknown_fields)]
struct Which {
    /// Of this type
    #[schema(nullable = false)]
    #[serde(default, deserialize_with = "given")]
    r#type: Option<EventType>,
    /// Received then or later
    #[schema(nullable = false)]
    #[serde(default, deserialize_with = "given")]
    from: Option<Time>,
    /// Received then or earlier
    #[schema(nullable = false)]
    #[serde(default, deserialize_with = "given")]
    to: Option<Time>,
    /// Change nothing: tell how many would go, and what that would change
    #[serde(default)]
    #[schema(default = false)]
    dry_run: bool,
}

/// How far a replay is
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ReplayState)]
#[serde(rename_all = "lowercase")]
enum Progress {
    /// It goes on
    Running,
    /// All that was meant was sent to its handlers
    Done,
    /// It broke off; what was sent is processed all the same
    Failed,
}

/// A replay
#[derive(Debug, Clone, Serialize, ToSchema)]
struct Replay {
    id: Uuid,
    /// Whose events
    account_id: Uuid,
    state: Progress,
    /// Why it broke off
    #[schema(required)]
    error: Option<&'static str>,
    started_at: DateTime<Utc>,
    #[schema(required)]
    finished_at: Option<DateTime<Utc>>,
    /// What was done so far
    report: Report,
}

/// The replays of this process.
#[derive(Debug, Default)]
pub(super) struct Replays(Mutex<VecDeque<Replay>>);

impl Replays {
    fn find(&self, id: Uuid) -> Option<Replay> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().find(|replay| replay.id == id).cloned()
    }

    fn begin(&self, replay: Replay) -> Result<()> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let running = || all.iter().filter(|other| other.state == Progress::Running);
        if let Some(other) = running().find(|other| other.account_id == replay.account_id) {
            return Err(Problem::new(
                Kind::Conflict,
                format!(
                    "the replay {} of the account goes on: wait until it is done",
                    other.id
                ),
            ));
        }
        if running().count() >= AT_ONCE {
            return Err(Problem::unavailable(
                "as many replays as may go on at once do so; ask again later",
            ));
        }
        if all.len() >= REMEMBERED
            && let Some(oldest) = all
                .iter()
                .position(|other| other.state != Progress::Running)
        {
            all.remove(oldest);
        }
        all.push_back(replay);
        Ok(())
    }

    fn change(&self, id: Uuid, change: impl FnOnce(&mut Replay)) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(replay) = all.iter_mut().find(|replay| replay.id == id) {
            change(replay);
        }
    }
}

/// Have stored events processed again
///
/// After a fault in the parser was mended, or for a new column: their typed rows are written again, and nothing is
/// told twice. What waits or is dead is tried again. It goes on in the background, one at a time an account;
/// repeating it does no harm.
#[utoipa::path(
    post,
    path = "/webhooks/replay/{accountId}",
    tag = "replays",
    operation_id = "replay",
    params(("accountId" = Uuid, Path, description = "The account")),
    request_body = Which,
    responses(
        (status = 202, description = "It goes on", body = Replay,
            headers(("Location" = String, description = "Where to ask how far it is"))),
        (status = 409, description = "A replay of the account goes on"),
    ),
)]
async fn begin(
    _: NoQuery,
    account: Account<Write>,
    State(api): State<Api>,
    Body(which): Body<Which>,
) -> Result<(StatusCode, [(header::HeaderName, String); 1], Json<Replay>)> {
    if let (Some(from), Some(to)) = (which.from, which.to)
        && from > to
    {
        return Err(Problem::field(
            Place::Body,
            "from",
            "it must not be later than to",
        ));
    }
    let replay = Replay {
        id: Uuid::now_v7(),
        account_id: account.row.id,
        state: Progress::Running,
        error: None,
        started_at: Utc::now(),
        finished_at: None,
        report: Report {
            dry_run: which.dry_run,
            ..Report::default()
        },
    };
    api.replays().begin(replay.clone())?;
    info!(replay = %replay.id, subject = account.caller.subject(), dry_run = which.dry_run, "a replay begins");
    tokio::spawn(run(api, replay.id, which, account.row));
    let location = format!("{BASE}/webhooks/replays/{}", replay.id);
    Ok((
        StatusCode::ACCEPTED,
        [(header::LOCATION, location)],
        Json(replay),
    ))
}

async fn run(api: Api, id: Uuid, which: Which, account: client_account::Model) {
    let replays: Arc<Replays> = Arc::clone(api.replays());
    let ended = Ended { replays, id };
    let ask = Ask {
        store: api.store(),
        connection: api.connection(),
        which: Replayable {
            event_type: which.r#type.map(|EventType(of)| of.name.to_owned()),
            ig_account_id: Some(account.instagram_business_account_id),
            from: which.from.map(|time| time.0),
            to: which.to.map(|time| time.0),
        },
        dry_run: which.dry_run,
        rows_stay_days: api.rows_stay_days(),
    };
    let tell = |report: &Report| {
        api.replays()
            .change(id, |replay| replay.report = report.clone());
    };
    match from_log_telling(&ask, tell).await {
        Ok(report) => {
            info!(replay = %id, "a replay is done");
            ended.done(report);
        }
        Err(error) => warn!(replay = %id, %error, "a replay broke off"),
    }
}

/// One that does not end as it should has failed, also when it panics.
struct Ended {
    replays: Arc<Replays>,
    id: Uuid,
}

impl Ended {
    fn done(&self, report: Report) {
        self.replays.change(self.id, |replay| {
            replay.state = Progress::Done;
            replay.report = report;
        });
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.replays.change(self.id, |replay| {
            replay.finished_at = Some(Utc::now());
            if replay.state == Progress::Running {
                replay.state = Progress::Failed;
                replay.error = Some("the database or NATS was away for too long; what was sent is processed all the same: begin it again");
            }
        });
    }
}

#[derive(Debug, Deserialize)]
struct OfReplay {
    id: Uuid,
}

/// How far a replay is
///
/// Asked of the process that it was begun in; the last 200 are remembered until that ends.
#[utoipa::path(
    get,
    path = "/webhooks/replays/{id}",
    tag = "replays",
    operation_id = "getReplay",
    params(("id" = Uuid, Path, description = "The replay")),
    responses((status = 200, description = "The replay", body = Replay)),
)]
async fn show(
    _: NoQuery,
    caller: Caller<Read>,
    Path(path): Path<OfReplay>,
    State(api): State<Api>,
) -> Result<Json<Replay>> {
    let found = api.replays().find(path.id);
    let seen = found.filter(|replay| caller.accounts().have(replay.account_id));
    seen.map(Json).ok_or_else(|| Problem::no_such("replay"))
}
