//! A batch and the database: whose error it is when it is not taken, and what
//! becomes of the events then.

use std::pin::pin;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::time::{sleep, timeout};
use tracing::debug;

use super::intake::UNSUSPECTED_DELIVERIES;
use super::precedence::Place;
use super::{Batch, Handler, Unfinished, Unsettled};
use crate::store::error::Blame;
use crate::store::{Incoming, Occasion, Outcome, StoreError};

/// How long the database may take over a batch, before the handler shows that it
/// waits and tries again. TCP alone takes a quarter of an hour to notice that
/// the other side is gone.
const STORED_WITHIN: Duration = Duration::from_mins(1);

/// How long a batch keeps its place at the database. One that takes longer hangs more likely than it works, at a
/// lock for example: it goes on, but keeps no other type from the database.
const PLACE_KEPT_FOR: Duration = Duration::from_secs(5);

/// How often the server is told that messages are worked on while they wait for a place: well within the
/// consumer's acknowledgement wait.
const KEPT_EVERY: Duration = Duration::from_secs(10);

/// How often in a row an error that may be an event's is taken for the world's:
/// with the pauses between, about ten seconds.
pub(super) const PATIENCE: u32 = 8;

/// What was stored after all is found stored the next time: a receipt has one row.
async fn in_time<T>(work: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    timeout(STORED_WITHIN, work)
        .await
        .unwrap_or(Err(StoreError::TooLate(STORED_WITHIN)))
}

/// Does `work` at a place, which it keeps for a while.
pub(super) async fn at<T>(place: Option<Place>, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    if let Ok(done) = timeout(PLACE_KEPT_FOR, &mut work).await {
        return done;
    }
    drop(place);
    work.await
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
            let begun = self.tools.store.begin_attempt(event, most);
            match in_time(begun).await {
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
                self.company.shun();
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

    /// A place at the database; the messages are kept meanwhile. While the service stops nobody comes any more,
    /// and nobody has to wait.
    pub(super) async fn place(&self, messages: &[Unsettled]) -> Option<Place> {
        let mut place = pin!(self.tools.precedence.place(self.priority));
        loop {
            tokio::select! {
                biased;
                place = &mut place => return Some(place),
                () = self.tools.stopping.cancelled() => return None,
                () = sleep(KEPT_EVERY) => self.keep(messages).await,
            }
        }
    }

    async fn attempt(&self, events: &[Incoming]) -> Result<Vec<Outcome>, StoreError> {
        #[cfg(debug_assertions)]
        crate::fault::in_handler(self.event_type.name, events).await?;
        self.tools.store.store(events).await
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
            let recorded = self.tools.store.record_failure(event, error, most);
            match in_time(recorded).await {
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
    use crate::handlers::Precedence;

    #[tokio::test(start_paused = true)]
    async fn a_database_that_never_answers_is_not_waited_for() {
        let never = std::future::pending::<Result<(), _>>();
        let error = in_time(never).await.unwrap_err();
        assert!(matches!(error, StoreError::TooLate(_)), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_hangs_at_the_database_keeps_nobody_from_it() {
        let precedence = Precedence::new(1);
        let place = Some(precedence.place(9).await);
        let mut hanging = pin!(at(place, std::future::pending::<()>()));
        let next = tokio::select! {
            () = &mut hanging => None,
            next = precedence.place(1) => Some(next),
        };
        assert!(next.is_some(), "it is had before the other is given up");
    }
}
