//! The state of every actor, for `/readyz` and whoever asks.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::instagram::time::serde_canonical;

/// Where an actor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ActorState {
    /// It works.
    Running,
    /// It waits for the world (database, NATS) to come back.
    Paused,
    /// It failed and is started again after a pause.
    Restarting,
}

/// What is known of an actor.
#[derive(Debug, Clone, Serialize)]
pub struct ActorStatus {
    /// Where it is.
    pub state: ActorState,
    /// Since when.
    #[serde(with = "serde_canonical")]
    pub since: DateTime<Utc>,
    /// How often it was started again.
    pub restarts: u64,
    /// Why it is paused or being restarted; none while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The states of all actors; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Board(Arc<Mutex<BTreeMap<&'static str, ActorStatus>>>);

impl Board {
    /// Every actor's state, by name.
    #[must_use]
    pub fn all(&self) -> BTreeMap<&'static str, ActorStatus> {
        self.lock().clone()
    }

    /// Whether the actor works.
    #[must_use]
    pub fn is_running(&self, name: &str) -> bool {
        self.lock()
            .get(name)
            .is_some_and(|status| status.state == ActorState::Running)
    }

    /// Whether the actor is there, and does not work.
    #[must_use]
    pub fn is_hindered(&self, name: &str) -> bool {
        self.lock()
            .get(name)
            .is_some_and(|status| status.state != ActorState::Running)
    }

    /// The actor works, again or still.
    pub fn running(&self, name: &'static str) {
        self.turn(name, ActorState::Running, None);
    }

    /// The actor waits for the world.
    pub fn paused(&self, name: &'static str, error: &str) {
        self.turn(name, ActorState::Paused, Some(error));
    }

    /// The actor failed.
    pub fn failed(&self, name: &'static str, error: &str) {
        self.turn(name, ActorState::Restarting, Some(error));
        if let Some(status) = self.lock().get_mut(name) {
            status.restarts += 1;
        }
    }

    /// The actor ended by itself: there is nothing more to know of it.
    pub fn ended(&self, name: &'static str) {
        self.lock().remove(name);
    }

    fn turn(&self, name: &'static str, state: ActorState, error: Option<&str>) {
        let mut all = self.lock();
        let now = Utc::now();
        let status = all.entry(name).or_insert(ActorStatus {
            state,
            since: now,
            restarts: 0,
            error: None,
        });
        if status.state != state {
            status.since = now;
        }
        status.state = state;
        status.error = error.map(str::to_owned);
    }

    /// A panic while it was held leaves it whole: every change is one insertion.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, ActorStatus>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
