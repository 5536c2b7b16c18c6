//! The journal, page by page, up to or after the publisher's floor.

use super::ledger::Waiting;
use super::{AuditError, PAGE_BYTES, Progress, Sources};
use crate::instagram::Delivery;
use crate::journal::{self, JournalError};
use crate::stream::pages::{Pages, Stretch, state};

/// A message can be of hundreds of kilobytes, and is packed tighter than what it is unpacked to.
const PAGE: usize = 64;
/// What a page weighs at least, in messages of the largest size.
const LARGEST: usize = 2;

/// What waits for the publisher.
pub(super) async fn waiting(sources: &Sources<'_>) -> Result<Waiting, AuditError> {
    let mut waiting = Waiting::default();
    let Progress { floor, .. } = publisher(sources).await?;
    let mut journal = Journal::open(sources, Part::After(floor)).await?;
    loop {
        let page = journal.next().await?;
        if page.is_empty() {
            return Ok(waiting);
        }
        for (_, deliveries) in page {
            waiting.messages += 1;
            match deliveries {
                Ok(deliveries) => waiting.deliveries += deliveries.len() as u64,
                Err(_) => waiting.unreadable += 1,
            }
        }
    }
}

/// How far the publisher has got.
pub(super) async fn publisher(sources: &Sources<'_>) -> Result<Progress, AuditError> {
    let names = sources.topology.consumer_names("publisher", "")?;
    sources.progress(&names).await
}

/// Which part of the journal.
pub(super) enum Part {
    UpTo(u64),
    After(u64),
}

pub(super) struct Journal {
    pages: Option<Pages>,
    page_bytes: usize,
}

impl Journal {
    pub(super) async fn open(sources: &Sources<'_>, part: Part) -> Result<Self, AuditError> {
        let names = sources.topology.consumer_names("publisher", "")?;
        let max_payload = sources.context.client().server_info().max_payload;
        let pages = match state(sources.context, &names.stream).await? {
            None => None,
            Some(state) => {
                let (after, up_to) = match part {
                    Part::UpTo(floor) => (0, floor.min(state.last_sequence)),
                    Part::After(floor) => (floor, state.last_sequence),
                };
                let stretch = Stretch {
                    stream: names.stream,
                    filter: names.filter,
                    after,
                    up_to,
                    headers_only: false,
                };
                Some(Pages::open(sources.context, stretch).await?)
            }
        };
        Ok(Self {
            pages,
            page_bytes: PAGE_BYTES.max(LARGEST * max_payload),
        })
    }

    /// The next messages, each with its sequence; none at the end.
    pub(super) async fn next(
        &mut self,
    ) -> Result<Vec<(u64, Result<Vec<Delivery>, JournalError>)>, AuditError> {
        let Some(pages) = &mut self.pages else {
            return Ok(Vec::new());
        };
        let page = pages.next(PAGE, self.page_bytes).await?;
        let read = page.into_iter().map(|message| {
            let sequence = message.info().map_or(0, |info| info.stream_sequence);
            (sequence, journal::unpack(&message.payload))
        });
        Ok(read.collect())
    }
}
