//! A batch and the database: whose error it is when it is not taken, and what
//! becomes of the events then.

use std::time::Duration;

use futures::future::BoxFuture;
use tracing::debug;

use super::intake::UNSUSPECTED_DELIVERIES;
use super::{Batch, Handler, Unfinished, Unsettled};
use crate::store::error::Blame;
use crate::store::{Incoming, Occasion, Outcome, StoreError};

/// How long the database may take over a batch, before the handler shows that it
/// waits and tries again. TCP alone takes a quarter of an hour to notice that
/// the other side is gone.
const STORED_WITHIN: Duration = Duration::from_mins(1);

/// How often in a row an error that may be an event's is taken for the world's:
/// with the pauses between, about ten seconds.
pub(super) const PATIENCE: u32 = 8;

/// What was stored after all is found stored the next time: a receipt has one row.
async fn in_time<T>(work: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    tokio::time::timeout(STORED_WITHIN, work)
        .await
        .unwrap_or(Err(StoreError::TooLate(STORED_WITHIN)))
}

impl Handler {
    /// The attempt at a suspect is written down before it is made: if this one
    /// ends the process, too, it is counted. `Some` when there were enough. Where
    /// the event itself may be why it cannot be written, storing it finds out.
    pub(super) async fn given_up(&mut self, batch: &Batch) -> Result<Option<Outcome>, Unfinished> {
        let most = self.tools.settings.max_attempts;
        loop {
            let [event] = batch.events.as_slice() else {
                return Ok(None);
            };
            if !batch.is_suspect {
                return Ok(None);
            }
            if event.occasion == Occasion::Replay {
                // It is stored: no attempt of it is counted in its row.
                return Ok(self.replay_given_up(event, &batch.messages));
            }
            match in_time(self.tools.store.begin_attempt(event, most)).await {
                Ok(outcome) => return Ok(outcome),
                Err(error) if error.blame() == Blame::World => {
                    self.rest(&error, &batch.messages).await?;
                }
                Err(_) => return Ok(None),
            }
        }
    }

    /// A replay that may be what ends its handler each time is not made for ever.
    fn replay_given_up(&self, event: &Incoming, messages: &[Unsettled]) -> Option<Outcome> {
        let most = UNSUSPECTED_DELIVERIES + i64::from(self.tools.settings.max_attempts);
        let is_over = messages.iter().any(|message| message.deliveries > most);
        is_over.then(|| {
            let reason = "its handler ended each time it tried";
            self.counts.not_replayed(event, reason);
            Outcome::Replayed
        })
    }

    /// Stores the events. The world's errors pause the handler and count no
    /// attempt; an event's own is looked for by halving, so that it takes none of
    /// the others with it. What looks like the world's is taken for an event's when
    /// it came `patience` times in a row and the database is well otherwise.
    pub(super) fn store<'a>(
        &'a mut self,
        events: &'a [Incoming],
        messages: &'a [Unsettled],
        patience: u32,
    ) -> BoxFuture<'a, Result<Vec<Outcome>, Unfinished>> {
        Box::pin(async move {
            let mut unclear = 0;
            loop {
                let error = match in_time(self.attempt(events)).await {
                    Ok(outcomes) => return Ok(outcomes),
                    Err(error) => error,
                };
                let blame = error.blame();
                unclear += u32::from(blame == Blame::Unclear);
                let is_worlds = match blame {
                    Blame::World => true,
                    Blame::Event => false,
                    Blame::Unclear => unclear < patience || !self.database_is_well(events).await,
                };
                match events {
                    _ if is_worlds => self.rest(&error, messages).await?,
                    [event] => return Ok(vec![self.failed(event, &error, messages).await?]),
                    events => {
                        let (first, second) = events.split_at(events.len() / 2);
                        let patience = if blame == Blame::Unclear { 1 } else { patience };
                        let mut outcomes = self.store(first, messages, patience).await?;
                        outcomes.extend(self.store(second, messages, patience).await?);
                        return Ok(outcomes);
                    }
                }
            }
        })
    }

    async fn database_is_well(&self, events: &[Incoming]) -> bool {
        let probed = in_time(self.tools.store.probe(self.event_type, events)).await;
        if let Err(error) = &probed {
            debug!(event_type = self.event_type.name, %error, "the database is not well");
        }
        probed.is_ok()
    }

    async fn attempt(&self, events: &[Incoming]) -> Result<Vec<Outcome>, StoreError> {
        #[cfg(debug_assertions)]
        crate::fault::in_handler(self.event_type.name, events).await?;
        self.tools.store.store(self.event_type, events).await
    }

    async fn failed(
        &mut self,
        event: &Incoming,
        error: &StoreError,
        messages: &[Unsettled],
    ) -> Result<Outcome, Unfinished> {
        self.counts.failed(event, error);
        if event.occasion == Occasion::Replay {
            self.counts.not_replayed(event, &error.to_string());
            return Ok(Outcome::Replayed);
        }
        let most = self.tools.settings.max_attempts;
        loop {
            match in_time(self.tools.store.record_failure(event, error, most)).await {
                Ok(outcome) => return Ok(outcome),
                Err(error) => self.rest(&error, messages).await?,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_database_that_never_answers_is_not_waited_for() {
        let error = in_time::<()>(std::future::pending()).await.unwrap_err();
        assert!(matches!(error, StoreError::TooLate(_)), "{error}");
    }
}
