//! What waits in the journal is published, and what waits in the stream of events is stored.

use std::time::Duration;

use anyhow::{Result, ensure};
use tempfile::TempDir;

use crate::backlog::{fill_journal, messages, speed, waiting};
use crate::batches;
use crate::database::{Benched, Kind};
use crate::limits;
use crate::payloads::{Mixture, Payloads};
use crate::servers::{Igstream, Nats, Setup};
use igstream::stream::names::{EVENTS, STORED};

/// Events a transaction, of which the fastest counts.
const CHUNKS: [usize; 2] = [2000, 10_000];

/// A nats-server, and a database, with events that wait.
#[derive(Debug)]
pub struct World {
    /// Where their files are.
    pub home: TempDir,
    /// The server of the streams.
    pub nats: Nats,
    /// The database.
    pub database: Benched,
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

    /// An igstream of these roles on it.
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
    pub async fn publish(&self, deliveries: usize) -> Result<f64> {
        let js = self.nats.jetstream().await?;
        // It makes the streams.
        let igstream = self.igstream("publisher").await?;
        while js.get_stream(EVENTS).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        igstream.process.stop()?;
        let bodies = Payloads::from(0, Mixture::Nine).deliveries(deliveries, 1);
        fill_journal(&js, &bodies).await?;
        let all = u64::try_from(deliveries)?;
        let igstream = self.igstream("publisher").await?;
        let left = || async { Ok(all - messages(&js, EVENTS).await?.min(all)) };
        let speed = speed(all, left).await?;
        igstream.process.stop()?;
        Ok(speed)
    }

    /// Stores all that waits in the stream of events: events a second, until each is acknowledged.
    pub async fn drain(&self) -> Result<f64> {
        let js = self.nats.jetstream().await?;
        let all = messages(&js, EVENTS).await?;
        let before = self.database.events().await?;
        let igstream = self.igstream("handlers").await?;
        let left = || async { Ok(waiting(&js).await?.unwrap_or(all)) };
        let speed = speed(all, left).await?;
        igstream.process.stop()?;
        let stored = u64::try_from(self.database.events().await? - before)?;
        ensure!(stored == all, "{stored} of {all} events are stored");
        let told = messages(&js, STORED).await?;
        ensure!(told == all, "{told} of {all} events are told as stored");
        Ok(speed)
    }
}

/// Figures of each run.
#[derive(Debug, Default)]
pub struct Drained {
    /// Events a second from the journal to their subjects.
    pub published: Vec<f64>,
    /// What `JetStream` takes of these at most.
    pub batches: Vec<f64>,
    /// Events a second from their subjects into the database.
    pub stored: Vec<f64>,
    /// What the database takes at most.
    pub database: Vec<f64>,
}

/// Measures `runs` times, each beside its limit.
pub async fn measure(kind: Kind, events: usize, runs: usize) -> Result<Drained> {
    let mut drained = Drained::default();
    for _ in 0..runs {
        let world = World::new(kind).await?;
        let js = world.nats.jetstream().await?;
        drained.published.push(world.publish(events).await?);
        let messages = batches::read(&js).await?;
        drained.batches.push(batches::speed(&js, &messages).await?);
        drop(messages);
        drained.stored.push(world.drain().await?);
        let rows = limits::Rows::read(&world.database, world.home.path()).await?;
        let mut fastest: f64 = 0.0;
        for chunk in CHUNKS {
            world.database.empty().await?;
            fastest = fastest.max(rows.insert(&world.database, chunk).await?);
        }
        drained.database.push(fastest);
        eprintln!("{}", drained.last());
    }
    Ok(drained)
}

impl Drained {
    fn last(&self) -> String {
        let last = |all: &Vec<f64>| all.last().copied().unwrap_or(f64::NAN);
        let (published, batches) = (last(&self.published), last(&self.batches));
        let (stored, database) = (last(&self.stored), last(&self.database));
        format!(
            "published {published:.0}/s of {batches:.0} ({:.2}), stored {stored:.0}/s of {database:.0} ({:.2})",
            published / batches,
            stored / database
        )
    }
}
