//! What is announced of a batch: stored events, dead letters.

use super::Batch;
use crate::store::Outcome;
use crate::stream::announce;
use crate::stream::bulk::Freshness;
use crate::stream::message::Outgoing;

/// The messages of a batch.
pub(super) struct Announcements {
    /// Of the events that are stored.
    pub(super) stored: Vec<Outgoing>,
    /// Whether some of these may have been announced before.
    pub(super) freshness: Freshness,
    /// Of the events that failed for good.
    pub(super) dead: Vec<Outgoing>,
}

pub(super) fn of(
    batch: &Batch,
    outcomes: &[Outcome],
    max_payload: usize,
) -> Result<Announcements, serde_json::Error> {
    let mut all = Announcements {
        stored: Vec::new(),
        freshness: Freshness::Fresh,
        dead: Vec::new(),
    };
    for ((incoming, message), outcome) in batch.events.iter().zip(&batch.messages).zip(outcomes) {
        let event = &incoming.event;
        match outcome {
            Outcome::Stored {
                account_id,
                rows,
                again,
            } => {
                let stored =
                    announce::stored(event, message.told(), *account_id, rows, max_payload)?;
                all.stored.push(stored);
                if *again || message.deliveries > 1 {
                    all.freshness = Freshness::Repeated;
                }
            }
            Outcome::Dead {
                error,
                attempts,
                deaths,
            } => {
                let dead = announce::dead_letter(event, error, *attempts, *deaths, max_payload)?;
                all.dead.push(dead);
            }
            _ => {}
        }
    }
    Ok(all)
}
