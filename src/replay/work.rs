//! What goes out of a replay, a chunk at a time; in a dry run nothing goes out, and
//! it is looked what each chunk would change.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use tracing::{info, warn};
use uuid::Uuid;

use super::report::{Changes, Report, count};
use super::{Ask, ReplayError};
use crate::instagram::{Event, types};
use crate::publisher::fitting;
use crate::store::error::Blame;
use crate::store::replayable::Way;
use crate::store::{Incoming, Occasion};
use crate::stream::announce;
use crate::stream::bulk::{Freshness, PublishError, publish_all, publish_telling};
use crate::stream::message::Outgoing;

/// What is taken at once, in events and in bytes of their items.
pub(super) const CHUNK_EVENTS: usize = 500;
pub(super) const CHUNK_BYTES: usize = 4 * 1024 * 1024;
/// How long a replay waits for a server that is away, or for room in a stream.
const PATIENCE: Duration = Duration::from_mins(5);
/// How often a long replay says how far it has got.
const TELL_EVERY: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

pub(super) struct Work<'a> {
    ask: &'a Ask<'a>,
    /// Tells what this replay sends from what another one did.
    run: Uuid,
    pub(super) report: Report,
    outgoing: Vec<Outgoing>,
    /// What nobody has, as it is published.
    missing: Vec<(Event, Outgoing)>,
    /// In a dry run: what would be written again, by type.
    looked_at: BTreeMap<String, Vec<Incoming>>,
    /// When it was said last how far it has got.
    told: Instant,
}

impl<'a> Work<'a> {
    pub(super) fn new(ask: &'a Ask<'a>) -> Self {
        let report = Report {
            dry_run: ask.dry_run,
            changes: ask.dry_run.then(Changes::default),
            ..Report::default()
        };
        Self {
            ask,
            run: Uuid::now_v7(),
            report,
            outgoing: Vec::new(),
            missing: Vec::new(),
            looked_at: BTreeMap::new(),
            told: Instant::now(),
        }
    }

    /// An event that has a row; `death` is the one it has to be brought back from.
    pub(super) fn take(
        &mut self,
        event: Event,
        way: Way,
        death: Option<i32>,
    ) -> Result<(), ReplayError> {
        if let Way::Leave(left) = way {
            self.report.leave(left);
            return Ok(());
        }
        count(&mut self.report.sent, &event.event_type);
        let max_payload = self.ask.connection.max_payload();
        match (self.ask.dry_run, way) {
            (true, Way::Replay) => self.look_later(event),
            (true, _) => {}
            (false, Way::Replay) => {
                self.outgoing
                    .push(announce::replay(&event, self.run, max_payload)?);
            }
            (false, _) => {
                let occasion = death.map_or_else(
                    || format!("replay-{}", self.run),
                    |death| format!("death-{death}"),
                );
                self.outgoing
                    .push(announce::reprocess(&event, &occasion, max_payload)?);
            }
        }
        Ok(())
    }

    /// An event that has no row.
    pub(super) fn publish(&mut self, mut event: Event) -> Result<(), ReplayError> {
        count(&mut self.report.published, &event.event_type);
        if !self.ask.dry_run {
            let message = fitting(&mut event, self.ask.connection.max_payload())?;
            self.missing.push((event, message));
        }
        Ok(())
    }

    fn look_later(&mut self, event: Event) {
        self.looked_at
            .entry(event.event_type.clone())
            .or_default()
            .push(Incoming {
                event,
                sequence: None,
                occasion: Occasion::Replay,
            });
    }

    /// Sends, or looks at, what was taken.
    pub(super) async fn flush(&mut self) -> Result<(), ReplayError> {
        self.publish_missing().await?;
        let outgoing = &self.outgoing;
        patiently(|| publish_all(self.ask.connection, outgoing, Freshness::Repeated)).await?;
        self.outgoing.clear();
        for (name, batch) in std::mem::take(&mut self.looked_at) {
            if types::by_name(&name).is_some() {
                self.look(&batch).await?;
            }
        }
        if self.told.elapsed() >= TELL_EVERY {
            self.told = Instant::now();
            let events: u64 = self.report.sent.values().sum();
            info!(events, dry_run = self.ask.dry_run, "the replay goes on");
        }
        Ok(())
    }

    /// What the stream remembers has its message: it goes to its handler alone, which makes its row.
    async fn publish_missing(&mut self) -> Result<(), ReplayError> {
        let (events, messages): (Vec<_>, Vec<_>) = self.missing.drain(..).unzip();
        let connection = self.ask.connection;
        let remembered = patiently(|| publish_telling(connection, &messages)).await?;
        let occasion = format!("replay-{}", self.run);
        for (event, _) in events.iter().zip(remembered).filter(|(_, is)| *is) {
            let message = announce::reprocess(event, &occasion, connection.max_payload())?;
            self.outgoing.push(message);
        }
        Ok(())
    }

    /// What the database would refuse is looked for by halving, as a handler does.
    fn look<'b>(&'b mut self, batch: &'b [Incoming]) -> BoxFuture<'b, Result<(), ReplayError>> {
        Box::pin(async move {
            let changes = self.report.changes.get_or_insert_default();
            match self.ask.store.preview(batch).await {
                Ok(differences) => changes.add(differences),
                Err(error) if error.blame() == Blame::World => return Err(error.into()),
                Err(error) if batch.len() == 1 => {
                    changes.refused += 1;
                    let receipt_id = batch[0].event.receipt_id;
                    warn!(%receipt_id, %error, "the database would refuse what this event leaves");
                }
                Err(_) => {
                    let (first, second) = batch.split_at(batch.len() / 2);
                    self.look(first).await?;
                    self.look(second).await?;
                }
            }
            Ok(())
        })
    }
}

/// Sends until all is acknowledged, and says why it waits.
async fn patiently<T, F: Future<Output = Result<T, PublishError>>>(
    attempt: impl Fn() -> F,
) -> Result<T, PublishError> {
    let (since, mut pause) = (Instant::now(), FIRST_PAUSE);
    loop {
        let error = match attempt().await {
            Ok(sent) => return Ok(sent),
            Err(error) => error,
        };
        let is_over = since.elapsed() >= PATIENCE;
        if is_over || matches!(error, PublishError::NoStream(_)) {
            return Err(error);
        }
        warn!(%error, "the replay waits and goes on by itself");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
