//! `GET /healthz`: the process is alive. `GET /readyz`: deliveries can be made
//! durable; its JSON names what is degraded, and since when.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;

use crate::config::Durability;
use crate::receiver;
use crate::stream::Connection;
use crate::stream::managed;
use crate::supervisor::{ActorState, ActorStatus, Board};
use crate::watch::sampler::Sampled;

/// What the answers are made of.
#[derive(Clone)]
pub struct HealthState {
    /// The actors' states.
    pub board: Board,
    /// The connection to NATS.
    pub connection: Connection,
    /// What was sampled last.
    pub sampled: Sampled,
    /// Whether this process takes deliveries.
    pub receives: bool,
    /// What a 200 to Instagram means.
    pub durability: Durability,
}

#[derive(Serialize)]
struct Readiness {
    ready: bool,
    durability: &'static str,
    nats: &'static str,
    /// Why it is not ready.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<&'static str>,
    /// What works less than it should; deliveries are taken all the same.
    degraded: BTreeMap<&'static str, ActorStatus>,
    actors: BTreeMap<&'static str, ActorStatus>,
}

/// The routes.
pub fn routes(state: HealthState) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .with_state(state)
}

async fn ready(State(state): State<HealthState>) -> (StatusCode, Json<Readiness>) {
    let connected = state.connection.is_connected();
    let checks = [
        (connected, "NATS is not connected"),
        (
            !state.board.is_hindered(managed::ACTOR),
            "the nats-server does not answer, or can store nothing",
        ),
        (
            !state.receives || state.board.is_running(receiver::NAME),
            "the journal does not acknowledge, or the receiver is not running",
        ),
        (!state.sampled.journal_is_full(), "the journal is full"),
        (state.sampled.once(), "the queues have not been sampled yet"),
    ];
    let reasons: Vec<_> = checks
        .into_iter()
        .filter(|(good, _)| !good)
        .map(|(_, reason)| reason)
        .collect();
    let actors = state.board.all();
    let degraded = actors
        .clone()
        .into_iter()
        .filter(|(_, status)| status.state != ActorState::Running)
        .collect();
    let answer = Readiness {
        ready: reasons.is_empty(),
        durability: state.durability.as_str(),
        nats: if connected {
            "connected"
        } else {
            "disconnected"
        },
        reasons,
        degraded,
        actors,
    };
    let status = if answer.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(answer))
}
