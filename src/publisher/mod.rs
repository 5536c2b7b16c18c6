//! The publisher: reads the journal, understands its deliveries, and puts one
//! message an event on its subject. It acknowledges the journal after the events
//! are acknowledged, so a crash only reads again, and every event has the same
//! receipt then.
//!
//! A message of the journal that was delivered often may hold what ended the
//! process each time: its deliveries go one by one, and each attempt is written
//! down before it is made (`attempts`). So the one delivery is found out, and
//! ends dead; all others go on.

mod attempts;
mod chunk;
mod taken;
mod understanding;
mod understood;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::Message;
use ractor::ActorProcessingErr;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::instagram::Delivery;
use crate::stream::Connection;
use crate::stream::bulk::{Freshness, PublishError, publish_all};
use crate::stream::consumer::Pull;
use crate::supervisor::{Board, Child, Turn, Worker, worker};
use crate::telemetry::metrics::TypeMetrics;

use chunk::Chunk;
use taken::Taken;
use understanding::{HUNG, Next, Understanding};

pub(crate) use chunk::fitting;
pub use understood::understood;

/// The actor's name.
pub const NAME: &str = "publisher";

/// What one turn takes from the journal, if no single message is larger.
const FETCH_MESSAGES: usize = 64;
const FETCH_BYTES: usize = 4 * 1024 * 1024;
const FETCH_WAIT: Duration = Duration::from_secs(1);
/// How far apart turns begin, unless as much was taken as may be: a turn of few deliveries costs more than these.
const APART: Duration = Duration::from_millis(5);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The publisher as a supervised child.
#[must_use]
pub fn child(
    connection: &Connection,
    journal: &Pull,
    board: &Board,
    stopping: &CancellationToken,
) -> Child {
    let (connection, journal) = (connection.clone(), journal.clone());
    let (board, stopping) = (board.clone(), stopping.clone());
    worker(NAME, move || Publisher {
        connection: connection.clone(),
        journal: journal.clone(),
        board: board.clone(),
        stopping: stopping.clone(),
        next: Instant::now(),
        pause: FIRST_PAUSE,
        metrics: HashMap::new(),
    })
}

struct Publisher {
    connection: Connection,
    journal: Pull,
    board: Board,
    stopping: CancellationToken,
    /// When the next turn begins at the earliest.
    next: Instant,
    pause: Duration,
    metrics: HashMap<&'static str, TypeMetrics>,
}

/// Why what was taken is not through. The journal is read again.
enum Unfinished {
    /// The service stops.
    Stopping,
    /// The publisher has to be started again.
    Failed(ActorProcessingErr),
}

impl<E: std::error::Error + Send + Sync + 'static> From<E> for Unfinished {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// What became of deliveries.
enum Published {
    /// So many events are acknowledged.
    Events(usize),
    /// This one does not end; some of those before it are published.
    Hangs(Delivery),
}

impl Worker for Publisher {
    async fn turn(&mut self) -> Result<Turn, ActorProcessingErr> {
        sleep_until(self.next).await;
        let began = Instant::now();
        let fetched = self.journal.fetch(FETCH_MESSAGES, FETCH_BYTES, FETCH_WAIT);
        let messages = match fetched.await {
            Ok(messages) => messages,
            Err(error) => {
                // It is looked again in any case.
                let _ = self.rest(&error).await;
                return Ok(Turn::Again);
            }
        };
        if messages.is_empty() {
            self.well();
            return Ok(Turn::Again);
        }
        let is_full = messages.len() >= FETCH_MESSAGES;
        self.next = if is_full { began } else { began + APART };
        let taken = Taken::of(messages, &self.connection).await;
        match self.process(&taken).await {
            Ok(()) => Ok(Turn::Again),
            Err(Unfinished::Stopping) => Ok(Turn::Done),
            Err(Unfinished::Failed(error)) => {
                taken.put_back(FIRST_PAUSE).await;
                Err(error)
            }
        }
    }
}

impl Publisher {
    async fn process(&mut self, taken: &Taken) -> Result<(), Unfinished> {
        let (suspects, others) = taken.suspects_and_others();
        let are_through = self.together(&others).await?;
        if !are_through {
            for message in others {
                self.alone(message).await?;
            }
        }
        for message in suspects {
            self.alone(message).await?;
        }
        Ok(())
    }

    /// `false` if one of the deliveries does not end, which has to be found alone.
    async fn together(&mut self, messages: &[&taken::Read]) -> Result<bool, Unfinished> {
        let deliveries = messages.iter().flat_map(|read| read.deliveries.clone());
        let deliveries: Vec<Delivery> = deliveries.collect();
        let number = deliveries.len();
        let freshness = freshness(messages.iter().map(|read| &read.message));
        match self.publish(deliveries, freshness).await? {
            Published::Hangs(delivery) => {
                let looked_at_alone = messages.len();
                error!(delivery_id = %delivery.id, looked_at_alone, "the publisher does not get on with a delivery; a thread of it is lost until the process ends");
                Ok(false)
            }
            Published::Events(events) => {
                taken::acknowledge(messages).await;
                if number > 0 {
                    info!(deliveries = number, events, "published");
                }
                Ok(true)
            }
        }
    }

    /// The deliveries of a message one by one, so that the one that ends the
    /// process, or does not end, takes none of the others with it.
    async fn alone(&mut self, read: &taken::Read) -> Result<(), Unfinished> {
        let mut events = 0;
        for delivery in &read.deliveries {
            if self.begin_attempt(delivery).await? {
                match self
                    .publish(vec![delivery.clone()], Freshness::Repeated)
                    .await?
                {
                    Published::Events(published) => events += published,
                    Published::Hangs(delivery) => self.bury(&delivery, HUNG).await?,
                }
                self.forget_attempts(delivery).await?;
            } else {
                let ended = format!(
                    "a delivery that cannot be understood: the publisher, or the whole process, ended each of the {} times that it was tried",
                    attempts::MOST
                );
                self.bury(delivery, &ended).await?;
            }
        }
        taken::acknowledge(&[read]).await;
        let deliveries = read.deliveries.len();
        warn!(
            deliveries,
            events, "published one by one: their message of the journal was delivered often"
        );
        Ok(())
    }

    /// Understands deliveries and publishes their events as they come: a chunk is sent while the one before it
    /// becomes durable.
    async fn publish(
        &mut self,
        deliveries: Vec<Delivery>,
        freshness: Freshness,
    ) -> Result<Published, Unfinished> {
        let deliveries = Arc::new(deliveries);
        let max_payload = self.connection.max_payload();
        let mut understanding = Understanding::begin(Arc::clone(&deliveries), max_payload)?;
        let (mut events, mut under_way) = (0, None);
        loop {
            match understanding.next().await {
                Next::Chunk(chunk) => {
                    events += chunk.messages.len();
                    let before =
                        under_way.replace(UnderWay::begin(&self.connection, chunk, freshness));
                    self.finish(before).await?;
                }
                Next::Done => {
                    self.finish(under_way).await?;
                    return Ok(Published::Events(events));
                }
                Next::Hangs(index) => match deliveries.get(index) {
                    Some(delivery) => return Ok(Published::Hangs(delivery.clone())),
                    None => return Err(Unfinished::Failed("nothing is understood".into())),
                },
                Next::Broken => {
                    return Err(Unfinished::Failed(
                        "a thread that understands deliveries ended".into(),
                    ));
                }
            }
        }
    }

    /// The whole delivery becomes one event that ends dead.
    async fn bury(&mut self, delivery: &Delivery, reason: &str) -> Result<(), Unfinished> {
        error!(delivery_id = %delivery.id, reason, "a delivery is kept whole as a dead letter");
        let whole = Chunk::of_whole(delivery, reason, self.connection.max_payload())?;
        self.send(&whole, Freshness::Repeated).await
    }

    async fn begin_attempt(&mut self, delivery: &Delivery) -> Result<bool, Unfinished> {
        loop {
            match attempts::begin(&self.connection, delivery.id).await {
                Ok(is_tried) => return Ok(is_tried),
                Err(error) => self.rest(&error).await?,
            }
        }
    }

    async fn forget_attempts(&mut self, delivery: &Delivery) -> Result<(), Unfinished> {
        while let Err(error) = attempts::forget(&self.connection, delivery.id).await {
            self.rest(&error).await?;
        }
        Ok(())
    }

    /// Returns when all of it is acknowledged.
    async fn finish(&mut self, under_way: Option<UnderWay>) -> Result<(), Unfinished> {
        let Some(UnderWay { chunk, mut sent }) = under_way else {
            return Ok(());
        };
        if let Some(Ok(Ok(()))) = sent.join_next().await {
            self.count(&chunk);
            self.well();
            return Ok(());
        }
        self.send(&chunk, Freshness::Repeated).await
    }

    /// Publishes until all is acknowledged: the journal keeps what waits
    /// meanwhile.
    async fn send(&mut self, chunk: &Chunk, mut freshness: Freshness) -> Result<(), Unfinished> {
        let connection = self.connection.clone();
        while let Err(error) = publish_all(&connection, &chunk.messages, freshness).await {
            if let PublishError::Full(_) = error {
                error!(%error, "the events wait in the journal");
            }
            freshness = Freshness::Repeated;
            self.rest(&error).await?;
        }
        self.count(chunk);
        self.well();
        Ok(())
    }

    /// Nothing is wrong with the events: NATS is away, or full.
    async fn rest(&mut self, error: &impl std::fmt::Display) -> Result<(), Unfinished> {
        warn!(%error, pause_ms = self.pause.as_millis(), "the publisher waits for NATS");
        self.board.paused(NAME, &error.to_string());
        tokio::select! {
            () = tokio::time::sleep(self.pause) => {}
            () = self.stopping.cancelled() => return Err(Unfinished::Stopping),
        }
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        Ok(())
    }

    fn well(&mut self) {
        self.pause = FIRST_PAUSE;
        self.board.running(NAME);
    }

    fn count(&mut self, chunk: &Chunk) {
        for (name, number) in &chunk.received {
            self.metrics
                .entry(name)
                .or_insert_with(|| TypeMetrics::new(name))
                .received
                .increment(*number);
        }
    }
}

/// A chunk that is being sent; what is not is given up when it is dropped.
struct UnderWay {
    chunk: Arc<Chunk>,
    sent: JoinSet<Result<(), PublishError>>,
}

impl UnderWay {
    fn begin(connection: &Connection, chunk: Chunk, freshness: Freshness) -> Self {
        let (chunk, mut sent) = (Arc::new(chunk), JoinSet::new());
        let (connection, sending) = (connection.clone(), Arc::clone(&chunk));
        sent.spawn(async move { publish_all(&connection, &sending.messages, freshness).await });
        Self { chunk, sent }
    }
}

/// What was fetched before may have been published before.
fn freshness<'a>(mut read: impl Iterator<Item = &'a Message>) -> Freshness {
    let is_first = |message: &Message| message.info().is_ok_and(|info| info.delivered == 1);
    if read.all(is_first) {
        Freshness::Fresh
    } else {
        Freshness::Repeated
    }
}
