//! A nats-server and a database, on which igstream's are started.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use async_nats::jetstream;
use bytes::Bytes;
use igstream::stream::names::{EVENTS, STORED};
use tempfile::TempDir;

use crate::backlog::{PATIENCE, fill_journal, messages, speed, waiting};
use crate::database::{Benched, Kind};
use crate::servers::{Igstream, Nats, Setup};

/// How often is looked whether all is done, while that is measured.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A nats-server and a database of a benchmark's own.
#[derive(Debug)]
pub struct World {
    /// The server of the streams.
    pub nats: Nats,
    /// The database.
    pub database: Benched,
    /// Where their files are.
    pub home: TempDir,
}

/// What is to be there at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    /// Events, each time they were told.
    pub events: u64,
    /// Events, each once.
    pub distinct: u64,
}

impl Expected {
    /// Nothing was told twice.
    #[must_use]
    pub fn once(events: u64) -> Self {
        Self {
            events,
            distinct: events,
        }
    }

    /// These and `more`.
    #[must_use]
    pub fn and(self, more: Self) -> Self {
        Self {
            events: self.events + more.events,
            distinct: self.distinct + more.distinct,
        }
    }
}

impl World {
    /// Starts one with nothing in it.
    pub async fn new(kind: Kind) -> Result<Self> {
        let home = crate::new_home()?;
        Ok(Self {
            nats: Nats::start(home.path()).await?,
            database: Benched::make(kind, home.path()).await?,
            home,
        })
    }

    /// Leaves nothing of it: a benchmark makes dozens.
    pub async fn end(self) -> Result<()> {
        drop(self.nats);
        self.database.remove().await
    }

    /// An igstream of these roles on it; of all where there are none.
    pub async fn igstream(&self, roles: &str) -> Result<Igstream> {
        Igstream::start(&Setup {
            home: self.home.path(),
            nats: &self.nats.url,
            database: &self.database.url,
            roles,
            more: &[],
        })
        .await
    }

    /// Puts deliveries of one event each into the journal, and publishes them: events a second.
    pub async fn publish(&self, bodies: &[Bytes]) -> Result<f64> {
        let js = self.nats.jetstream().await?;
        // It makes the streams.
        let igstream = self.igstream("publisher").await?;
        while js.get_stream(EVENTS).await.is_err() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        igstream.process.stop()?;
        let before = messages(&js, EVENTS).await?;
        fill_journal(&js, bodies).await?;
        let all = u64::try_from(bodies.len())?;
        let igstream = self.igstream("publisher").await?;
        let left = || async { Ok((before + all).saturating_sub(messages(&js, EVENTS).await?)) };
        let speed = speed(all, left).await?;
        igstream.process.stop()?;
        Ok(speed)
    }

    /// Stores all that waits in the stream of events: events a second, until each is acknowledged.
    pub async fn drain(&self, expected: Expected) -> Result<f64> {
        let js = self.nats.jetstream().await?;
        let all = expected.events;
        let (before, told_before) = (self.database.events().await?, told(&js).await?);
        let igstream = self.igstream("handlers").await?;
        let left = || async { Ok(waiting(&js).await?.unwrap_or(all)) };
        let speed = speed(all, left).await?;
        igstream.process.stop()?;
        let stored = u64::try_from(self.database.events().await? - before)?;
        ensure!(stored == all, "{stored} of {all} events are stored");
        let told = told(&js).await? - told_before;
        let distinct = expected.distinct;
        ensure!(told == distinct, "{told} are told as stored of {distinct}");
        Ok(speed)
    }

    /// Waits until all that was ever posted is stored, told and acknowledged, and says when; an error if it is not
    /// just that.
    pub async fn done(&self, expected: Expected) -> Result<Instant> {
        let js = self.nats.jetstream().await?;
        let begun = Instant::now();
        while !is_done(&js, expected).await? {
            if begun.elapsed() > PATIENCE {
                bail!("not all is stored after {PATIENCE:?}");
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let done = Instant::now();
        let (stored, told) = (self.database.events().await?, told(&js).await?);
        ensure!(
            u64::try_from(stored)? == expected.events && told == expected.distinct,
            "{stored} events are stored and {told} are told, of {expected:?}"
        );
        Ok(done)
    }
}

/// Cheapest first, since it is asked often.
async fn is_done(js: &jetstream::Context, expected: Expected) -> Result<bool> {
    Ok(told(js).await? >= expected.distinct
        && messages(js, EVENTS).await? >= expected.events
        && waiting(js).await? == Some(0))
}

/// How many events are told as stored.
async fn told(js: &jetstream::Context) -> Result<u64> {
    match js.get_stream(STORED).await {
        Ok(stream) => Ok(stream.cached_info().state.messages),
        // A receiver or a publisher alone does not make it.
        Err(_) => Ok(0),
    }
}
