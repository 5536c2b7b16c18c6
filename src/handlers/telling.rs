//! What is told of a batch: stored events, dead letters.

use super::Taken;
use crate::store::Outcome;
use crate::stream::announce;
use crate::stream::bulk::Freshness;
use crate::stream::message::Outgoing;

/// The messages of a batch, and whether some may have been told before.
pub(super) fn messages(
    batch: &[Taken],
    outcomes: &[Outcome],
    max_payload: usize,
) -> Result<(Vec<Outgoing>, Freshness), serde_json::Error> {
    let mut messages = Vec::with_capacity(batch.len());
    let mut freshness = Freshness::Fresh;
    for (taken, outcome) in batch.iter().zip(outcomes) {
        let event = &taken.incoming.event;
        match outcome {
            Outcome::Stored {
                account_id,
                rows,
                again,
            } => {
                messages.push(announce::stored(event, *account_id, rows, max_payload)?);
                if *again || taken.redelivered {
                    freshness = Freshness::Repeated;
                }
            }
            Outcome::Dead {
                error,
                attempts,
                deaths,
            } => {
                messages.push(announce::dead_letter(
                    event,
                    error,
                    *attempts,
                    *deaths,
                    max_payload,
                )?);
                // They go to another stream: no batch of one stream.
                freshness = Freshness::Repeated;
            }
            _ => {}
        }
    }
    Ok((messages, freshness))
}
