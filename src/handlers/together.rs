//! Small batches of several types go together: one transaction for what they leave, one atomic batch for what is
//! announced of it. Each has a cost of its own that is most of what a small batch takes.
//!
//! Only what goes well goes together. Where it does not, each handler goes alone, and finds out whose error it is as
//! ever; it stays alone for a while after an error of its own, so that it keeps nobody else back.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::convoy::Convoy;
use super::{Batch, Handler};
use crate::store::{Incoming, Outcome, Store};
use crate::stream::Connection;
use crate::stream::bulk::{Freshness, publish_all};
use crate::stream::message::Outgoing;

/// A batch of fewer events is small.
const SMALL: usize = 100;
/// How long a handler goes alone after an error.
const ALONE_FOR: Duration = Duration::from_secs(10);

type Events = Arc<Vec<Incoming>>;

/// What the handlers of a process share.
#[derive(Default)]
pub struct Together {
    storing: Convoy<Events, Vec<Outcome>>,
    announcing: Convoy<Vec<Outgoing>, ()>,
}

/// Until when a handler goes alone.
#[derive(Default)]
pub(super) struct Company(Option<Instant>);

impl Company {
    /// An error came: whoever goes with this handler would have it, too.
    pub(super) fn shun(&mut self) {
        self.0 = Some(Instant::now() + ALONE_FOR);
    }

    fn is_shunned(&self) -> bool {
        self.0.is_some_and(|until| Instant::now() < until)
    }
}

impl Handler {
    /// Stores the batch with those of others; `None` where it has to go alone.
    pub(super) async fn store_together(&self, batch: &Batch) -> Option<Vec<Outcome>> {
        let goes_alone = batch.is_suspect || batch.events.len() >= SMALL;
        if goes_alone || self.company.is_shunned() {
            return None;
        }
        // Each strike is one attempt of this handler's own.
        #[cfg(debug_assertions)]
        if crate::fault::is_asked_in(self.event_type.name) {
            return None;
        }
        let store = self.tools.store.clone();
        let convoy = &self.tools.together.storing;
        let travel = |loads| async move { store_all(&store, loads).await };
        convoy.join(Arc::clone(&batch.events), travel).await
    }

    /// Announces with others what was never announced before; whether that went well.
    pub(super) async fn announce_together(&self, messages: &[Outgoing]) -> bool {
        if messages.len() >= SMALL {
            return false;
        }
        let connection = self.tools.connection.clone();
        let convoy = &self.tools.together.announcing;
        let travel = |loads| async move { announce_all(&connection, loads).await };
        convoy.join(messages.to_vec(), travel).await.is_some()
    }
}

async fn store_all(store: &Store, loads: Vec<Events>) -> Option<Vec<Vec<Outcome>>> {
    let events: Vec<&Incoming> = loads.iter().flat_map(|events| events.iter()).collect();
    let mut outcomes = store.store(&events).await.ok()?.into_iter();
    let of_each = |events: &Events| outcomes.by_ref().take(events.len()).collect();
    Some(loads.iter().map(of_each).collect())
}

async fn announce_all(connection: &Connection, loads: Vec<Vec<Outgoing>>) -> Option<Vec<()>> {
    let number = loads.len();
    let messages: Vec<Outgoing> = loads.into_iter().flatten().collect();
    publish_all(connection, &messages, Freshness::Fresh)
        .await
        .ok()?;
    Some(vec![(); number])
}
