//! Dead letters go to their handlers once more, with all their attempts.

use super::ReplayError;
use crate::store::Store;
use crate::store::dead_letters::{DeadLetters, to_be_tried_again};
use crate::stream::Connection;
use crate::stream::announce::reprocess;
use crate::stream::bulk::{Freshness, publish_all};

const PAGE: u64 = 500;

/// What became of dead letters that were to be tried again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retried {
    /// Sent to their handlers.
    pub sent: usize,
    /// Left alone: a malformed item is the same again.
    pub malformed: usize,
}

/// Sends those that are meant. Harmless when repeated: what was stored meanwhile is no dead letter any more, and one
/// that is on its way is sent once a death.
pub async fn once_more(
    store: &Store,
    connection: &Connection,
    which: &DeadLetters,
) -> Result<Retried, ReplayError> {
    let (mut before, mut retried) = (None, Retried::default());
    loop {
        let page = store.dead_letters(which, before, PAGE).await?;
        let Some(last) = page.last().map(|row| row.id) else {
            return Ok(retried);
        };
        let mut messages = Vec::with_capacity(page.len());
        for row in page {
            let occasion = format!("death-{}", row.deaths);
            match to_be_tried_again(row) {
                Some(event) => {
                    messages.push(reprocess(&event, &occasion, connection.max_payload())?);
                }
                None => retried.malformed += 1,
            }
        }
        publish_all(connection, &messages, Freshness::Repeated).await?;
        retried.sent += messages.len();
        before = Some(last);
    }
}
