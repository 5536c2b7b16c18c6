//! Deliveries are taken: against the same server without a journal, and against the disk.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use async_nats::jetstream::{self, stream};
use hdrhistogram::Histogram;
use igstream::receiver::PATH;

use crate::database::Kind;
use crate::drain::World;
use crate::load::{Answers, Load, Signed, signed};
use crate::payloads::{Mixture, Payloads};
use crate::servers::{Igstream, Process, free_address};

/// How long each is measured, at most.
const MEASURED_FOR: Duration = Duration::from_secs(4);
const WARMED_FOR: Duration = Duration::from_millis(700);

/// One way to post.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Way {
    /// Connections at once.
    pub connections: usize,
    /// Events a delivery.
    pub items: usize,
}

/// What came of it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Accepted {
    /// Deliveries a second.
    pub rate: f64,
    /// In milliseconds.
    pub p50: f64,
    /// In milliseconds.
    pub p99: f64,
}

impl Accepted {
    fn of(answers: &Answers) -> Self {
        Self {
            rate: answers.rate(),
            p50: answers.milliseconds(50.0),
            p99: answers.milliseconds(99.0),
        }
    }
}

/// The floor, as a process of its own.
pub struct Floor {
    _process: Process,
    address: SocketAddr,
}

impl Floor {
    /// Starts it.
    pub async fn start(home: &Path) -> Result<Self> {
        let address = free_address()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["floor", "--bind", &address.to_string()]);
        let process = Process::start("floor", home, &mut command)?;
        while tokio::net::TcpStream::connect(address).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(Self {
            _process: process,
            address,
        })
    }
}

/// Enough deliveries for one measurement.
fn deliveries(way: Way) -> Arc<Vec<Signed>> {
    let number = 400_000 / (way.items + 3) * 3;
    signed(Payloads::from(0, Mixture::Nine).deliveries(number, way.items))
}

async fn post(
    address: SocketAddr,
    deliveries: &Arc<Vec<Signed>>,
    way: Way,
    at_most: Duration,
) -> Result<Answers> {
    let load = Load {
        address,
        path: PATH,
        deliveries: Arc::clone(deliveries),
        connections: way.connections,
        pace: None,
        at_most,
    };
    let answers = load.post().await?;
    ensure!(
        answers.refused == 0,
        "{} deliveries were refused",
        answers.refused
    );
    Ok(answers)
}

/// The receiver alone and its floor, in turns.
pub async fn measure(way: Way, runs: usize) -> Result<Vec<(Accepted, Accepted)>> {
    let deliveries = deliveries(way);
    let mut all = Vec::new();
    for _ in 0..runs {
        let world = World::new(Kind::Sqlite).await?;
        let floor = Floor::start(world.home.path()).await?;
        let without = measured(floor.address, &deliveries, way).await?;
        drop(floor);
        let receiver = world.igstream("receiver").await?;
        let with = measured(receiver.http, &deliveries, way).await?;
        receiver.process.stop()?;
        eprintln!("{way:?}: {with:?} of {without:?}");
        all.push((with, without));
    }
    Ok(all)
}

async fn measured(
    address: SocketAddr,
    deliveries: &Arc<Vec<Signed>>,
    way: Way,
) -> Result<Accepted> {
    post(address, deliveries, way, WARMED_FOR).await?;
    Ok(Accepted::of(
        &post(address, deliveries, way, MEASURED_FOR).await?,
    ))
}

/// One connection, beside plain acknowledged publishes of the same bytes, in turns.
pub async fn lone(runs: usize) -> Result<Vec<(Accepted, Accepted)>> {
    let way = Way {
        connections: 1,
        items: 1,
    };
    let deliveries = deliveries(way);
    let mut all = Vec::new();
    for _ in 0..runs {
        let world = World::new(Kind::Sqlite).await?;
        let plain = publishes(&world.nats.jetstream().await?).await?;
        let receiver = world.igstream("receiver").await?;
        let with = measured(receiver.http, &deliveries, way).await?;
        receiver.process.stop()?;
        eprintln!("lone: {with:?}, plain: {plain:?}");
        all.push((with, plain));
    }
    Ok(all)
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
async fn publishes(js: &jetstream::Context) -> Result<Accepted> {
    js.create_stream(stream::Config {
        name: "PLAIN".to_owned(),
        subjects: vec!["plain".to_owned()],
        ..Default::default()
    })
    .await?;
    let body = Payloads::from(0, Mixture::Nine).deliveries(1, 1).remove(0);
    let mut latencies = Histogram::<u64>::new(3)?;
    let begun = Instant::now();
    while begun.elapsed() < MEASURED_FOR {
        let sent = Instant::now();
        js.publish("plain", body.clone()).await?.await?;
        latencies.record(u64::try_from(sent.elapsed().as_micros())?.max(1))?;
    }
    let rate = latencies.len() as f64 / begun.elapsed().as_secs_f64();
    js.delete_stream("PLAIN").await?;
    let milliseconds = |percentile| latencies.value_at_percentile(percentile) as f64 / 1000.0;
    Ok(Accepted {
        rate,
        p50: milliseconds(50.0),
        p99: milliseconds(99.0),
    })
}
