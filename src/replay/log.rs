//! From the generic log: a page of rows at a time, in the order of their receipts.

use chrono::Utc;

use super::work::{CHUNK_BYTES, CHUNK_EVENTS, Work};
use super::{Ask, ReplayError, Report};
use crate::store::replayable::{Left, Way};

/// Sends the events of the log that are meant to their handlers once more.
pub async fn from_log(ask: &Ask<'_>) -> Result<Report, ReplayError> {
    from_log_telling(ask, |_| {}).await
}

/// The same; `tell` is told what was done so far, again and again.
pub async fn from_log_telling(
    ask: &Ask<'_>,
    tell: impl Fn(&Report),
) -> Result<Report, ReplayError> {
    let mut work = Work::new(ask);
    work.report.may_lack_before = ask.which.may_lack_before(ask.rows_stay_days, Utc::now());
    let mut after = None;
    loop {
        let page = ask
            .store
            .replayable(&ask.which, after, CHUNK_EVENTS as u64, CHUNK_BYTES)
            .await?;
        let Some(last) = page.last().map(|logged| logged.head.id) else {
            return Ok(work.report);
        };
        let erased = ask.store.erased().await?;
        for logged in page {
            let event = logged.event;
            let way = if erased.covers(&event.ig_account_id, event.receipt_id) {
                Way::Leave(Left::Erased)
            } else {
                logged.way
            };
            work.take(event, way, logged.head.death())?;
        }
        work.flush().await?;
        tell(&work.report);
        after = Some(last);
    }
}
