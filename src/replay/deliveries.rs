//! From the journal: what Instagram posted, its signature checked again, understood
//! by today's parser.

use std::collections::HashMap;

use bytes::Bytes;
use chrono::TimeDelta;
use tracing::{error, warn};
use uuid::Uuid;

use super::progress::{Handlers, published_up_to};
use super::report::Deliveries;
use super::work::{CHUNK_BYTES, CHUNK_EVENTS, Work};
use super::{Ask, ReplayError, Report};
use crate::instagram::event::UNKNOWN;
use crate::instagram::signature::{AppSecrets, Recheck};
use crate::instagram::understand::{Reading, keep_identity};
use crate::instagram::{Delivery, Event};
use crate::journal;
use crate::publisher::understood;
use crate::store::erased::Erased;
use crate::store::replayable::{Left, RowHead};
use crate::stream::names::{DELIVERIES, DELIVERIES_SUBJECT};
use crate::stream::tail::{Portion, Start, Tail};
use crate::stream::topology::Topology;

/// How far the clock that stamps deliveries and that of the journal may differ, and
/// how long a delivery may wait between them.
const SLACK: TimeDelta = TimeDelta::minutes(10);

/// Reads the journal up to where the publisher is, and sends the events that are
/// meant to their handlers once more. Those that have no row, and are not on their
/// way to one, are published as the publisher would. Takes nothing from anybody.
pub async fn from_deliveries(
    ask: &Ask<'_>,
    secrets: &AppSecrets,
    topology: &Topology,
) -> Result<Report, ReplayError> {
    let end = published_up_to(ask.connection, topology).await?;
    let mut reader = Reader {
        ask,
        secrets,
        handlers: Handlers::new(ask.connection, topology).await?,
        work: Work::new(ask),
        deliveries: Deliveries::default(),
        chunk: Vec::new(),
        bytes: 0,
    };
    let mut tail = Tail::start(
        ask.connection,
        DELIVERIES,
        vec![DELIVERIES_SUBJECT.to_owned()],
        start(ask),
        Portion::LARGE,
    )
    .await?;
    'journal: while !tail.is_at_the_end() {
        for message in tail.next().await {
            let Ok(info) = message.info() else { continue };
            let is_later = |to| info.published > to + SLACK;
            if info.stream_sequence > end || ask.which.to.is_some_and(is_later) {
                break 'journal;
            }
            let (sequence, is_last) = (info.stream_sequence, info.stream_sequence == end);
            reader.read(sequence, &message.payload).await?;
            if is_last {
                break 'journal;
            }
        }
    }
    reader.finish().await
}

fn start(ask: &Ask<'_>) -> Start {
    let from = ask
        .which
        .from
        .and_then(|from| from.checked_sub_signed(SLACK));
    from.map_or(Start::First, Start::Since)
}

struct Reader<'a> {
    ask: &'a Ask<'a>,
    secrets: &'a AppSecrets,
    handlers: Handlers<'a>,
    work: Work<'a>,
    deliveries: Deliveries,
    chunk: Vec<Event>,
    /// What the items of the chunk weigh.
    bytes: usize,
}

impl Reader<'_> {
    async fn read(&mut self, sequence: u64, message: &Bytes) -> Result<(), ReplayError> {
        match journal::unpack(message) {
            Ok(deliveries) => {
                for delivery in &deliveries {
                    if self.is_taken(delivery) {
                        self.take(delivery).await?;
                    }
                }
            }
            Err(error) => {
                error!(sequence, %error, "a message of the journal is passed over");
                self.deliveries.unreadable_messages += 1;
            }
        }
        Ok(())
    }

    fn is_taken(&mut self, delivery: &Delivery) -> bool {
        if !self.ask.which.is_in_time(delivery.received_at) {
            return false;
        }
        self.deliveries.read += 1;
        let (id, signature) = (&delivery.secret_id, &delivery.signature);
        match self.secrets.recheck(id, signature, &delivery.body) {
            Recheck::Holds => true,
            Recheck::SecretGone => {
                self.deliveries.unchecked += 1;
                true
            }
            Recheck::Broken => {
                warn!(delivery_id = %delivery.id, "a delivery of the journal has a signature that does not hold; it is not replayed");
                self.deliveries.refuse(delivery.id);
                false
            }
        }
    }

    async fn take(&mut self, delivery: &Delivery) -> Result<(), ReplayError> {
        let reading = Reading::of(delivery);
        for event in understood(&reading) {
            let wanted = self.ask.which.ig_account_id.as_ref();
            if wanted.is_some_and(|wanted| *wanted != event.ig_account_id) {
                continue;
            }
            self.bytes += event.raw.as_ref().map_or(0, |raw| raw.get().len());
            self.chunk.push(event);
            if self.chunk.len() >= CHUNK_EVENTS || self.bytes >= CHUNK_BYTES {
                self.flush().await?;
            }
        }
        Ok(())
    }

    async fn finish(mut self) -> Result<Report, ReplayError> {
        self.flush().await?;
        self.work.report.deliveries = Some(self.deliveries);
        Ok(self.work.report)
    }

    async fn flush(&mut self) -> Result<(), ReplayError> {
        self.bytes = 0;
        let erased = self.ask.store.erased().await?;
        let mut chunk = std::mem::take(&mut self.chunk);
        let mut heads = self.heads(&chunk).await?;
        if self.some_may_be_under_way(&chunk, &heads).await? {
            // What was under way has its row by now.
            heads = self.heads(&chunk).await?;
        }
        for event in chunk.drain(..) {
            let head = heads.get(&event.receipt_id);
            self.settle(event, head, &erased).await?;
        }
        self.work.flush().await
    }

    async fn heads(&self, chunk: &[Event]) -> Result<HashMap<Uuid, RowHead>, ReplayError> {
        let receipts: Vec<Uuid> = chunk.iter().map(|event| event.receipt_id).collect();
        Ok(self.ask.store.heads(&receipts).await?)
    }

    /// Waits for the handlers of those that have no row.
    async fn some_may_be_under_way(
        &mut self,
        chunk: &[Event],
        heads: &HashMap<Uuid, RowHead>,
    ) -> Result<bool, ReplayError> {
        let mut some = false;
        for event in chunk {
            if !heads.contains_key(&event.receipt_id) {
                self.are_through(&event.event_type).await?;
                some = true;
            }
        }
        Ok(some)
    }

    /// An older parser may have taken it for one of no type.
    async fn are_through(&mut self, event_type: &str) -> Result<bool, ReplayError> {
        Ok(self.handlers.are_through(event_type).await?
            && self.handlers.are_through(UNKNOWN).await?)
    }

    async fn settle(
        &mut self,
        mut event: Event,
        head: Option<&RowHead>,
        erased: &Erased,
    ) -> Result<(), ReplayError> {
        let event_type = head.map_or(&event.event_type, |head| &head.event_type);
        if !self.ask.which.is_of(event_type, &event.ig_account_id) {
            return Ok(());
        }
        if erased.covers(&event.ig_account_id, event.receipt_id) {
            self.work.report.leave(Left::Erased);
            return Ok(());
        }
        let Some(head) = head else {
            if self.are_through(&event.event_type).await? {
                return self.work.publish(event);
            }
            self.work.report.leave(Left::InFlight);
            return Ok(());
        };
        keep_identity(&mut event, &head.event_type, &head.event_id);
        let way = head.way().if_understood(&event);
        self.work.take(event, way, head.death())
    }
}
