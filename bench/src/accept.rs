//! Deliveries are taken: against the same server without a journal, and against the disk.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use async_nats::jetstream::{self, stream};
use hdrhistogram::Histogram;
use igstream::receiver::PATH;

use crate::all_roles;
use crate::database::Kind;
use crate::floor::Floor;
use crate::load::{Answers, Load, Signed, signed};
use crate::machine;
use crate::payloads::Payloads;
use crate::plan::{Plan, count, size};
use crate::report::{Bound, Row, Target};
use crate::world::World;

/// How long each is measured, at most.
pub const MEASURED_FOR: Duration = Duration::from_secs(4);
/// What it is compared with.
const FLOOR: &str = "the floor: the same server, nothing kept";
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
    p50: f64,
    /// In milliseconds.
    p99: f64,
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

/// All rows of accepting.
pub async fn rows(plan: &Plan) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for goals in [USUAL, MANY] {
        rows.extend(with_connections(goals, plan).await?);
    }
    rows.push(with_twenty(plan).await?);
    rows.extend(with_one(plan).await?);
    rows.extend(all_roles::rows(plan).await?);
    Ok(rows)
}

/// What should come of so many connections.
#[derive(Debug, Clone, Copy)]
struct Goals {
    connections: usize,
    of_floor: Target,
    a_sync: Option<Target>,
    p99: Option<Target>,
}

const USUAL: Goals = Goals {
    connections: 64,
    of_floor: Target::Ratio(Bound::AtLeast(0.4)),
    // Where the disk is very quick, the processor is the bound.
    a_sync: Some(Target::Either(
        Bound::AtLeast(5.0),
        Bound::AtLeast(25_000.0),
    )),
    p99: Some(Target::Measured(Bound::Below(6.0))),
};
const MANY: Goals = Goals {
    connections: 256,
    of_floor: Target::Ratio(Bound::AtLeast(0.5)),
    a_sync: None,
    p99: None,
};

/// A figure of each run.
pub fn each<T>(runs: &[T], figure: impl Fn(&T) -> f64) -> Vec<f64> {
    runs.iter().map(figure).collect()
}

async fn with_connections(goals: Goals, plan: &Plan) -> Result<Vec<Row>> {
    let way = Way {
        connections: goals.connections,
        items: 1,
    };
    let runs = measure(way, plan.runs).await?;
    let what = format!("accept, receiver alone, {} connections", way.connections);
    let beside_floor = |what: String, unit, figure: fn(&Accepted) -> f64| {
        Row::new(what, unit, each(&runs, |run| figure(&run.with)))
            .against(FLOOR, each(&runs, |run| figure(&run.without)))
    };
    let rates = each(&runs, |run| run.with.rate);
    Ok(vec![
        beside_floor(what.clone(), "deliveries/s", |run| run.rate).target(goals.of_floor),
        Row::new(what.clone(), "deliveries/s", rates)
            .against("the disk's syncs a second", each(&runs, |run| run.syncs))
            .target(goals.a_sync),
        beside_floor(format!("{what}: p50"), "ms", |run| run.p50),
        beside_floor(format!("{what}: p99"), "ms", |run| run.p99).target(goals.p99),
    ])
}

async fn with_twenty(plan: &Plan) -> Result<Row> {
    let way = Way {
        connections: 64,
        items: 20,
    };
    let runs = measure(way, plan.runs).await?;
    let events = |accepted: &Accepted| accepted.rate * size(way.items);
    Ok(Row::new(
        "accept, receiver alone, 20 events a delivery",
        "events/s",
        each(&runs, |run| events(&run.with)),
    )
    .against(FLOOR, each(&runs, |run| events(&run.without)))
    .target(Target::Measured(Bound::AtLeast(150_000.0))))
}

async fn with_one(plan: &Plan) -> Result<Vec<Row>> {
    let runs = lone(plan.runs).await?;
    let row = |what: &str, figure: fn(&Accepted) -> f64| {
        Row::new(
            format!("accept, receiver alone, one connection: {what}"),
            "ms",
            each(&runs, |(with, _)| figure(with)),
        )
        .against(
            "one acknowledged publish",
            each(&runs, |(_, plain)| figure(plain)),
        )
    };
    Ok(vec![
        row("p50", |run| run.p50).target(Target::Ratio(Bound::AtMost(1.3))),
        row("p99", |run| run.p99),
    ])
}

/// One run.
#[derive(Debug, Clone, Copy)]
struct Beside {
    with: Accepted,
    /// The floor.
    without: Accepted,
    /// What the disk made durable a second just before.
    syncs: f64,
}

/// Enough deliveries for one measurement.
pub fn deliveries(way: Way) -> Arc<Vec<Signed>> {
    let number = 400_000 / (way.items + 3) * 3;
    signed(&Payloads::from(0).deliveries(number, way.items))
}

/// Posts them, for so long at most.
pub async fn post(
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
async fn measure(way: Way, runs: usize) -> Result<Vec<Beside>> {
    let deliveries = deliveries(way);
    let mut all = Vec::new();
    for _ in 0..runs {
        let world = World::new(Kind::Sqlite).await?;
        let syncs = machine::syncs_a_second(world.home.path())?;
        let floor = Floor::start(world.home.path()).await?;
        let without = measured(floor.address, &deliveries, way).await?;
        drop(floor);
        let receiver = world.igstream("receiver").await?;
        let with = measured(receiver.http, &deliveries, way).await?;
        receiver.process.stop()?;
        let run = Beside {
            with,
            without,
            syncs,
        };
        eprintln!("{way:?}: {run:?}");
        all.push(run);
    }
    Ok(all)
}

/// Posts them, once the server is warm.
pub async fn measured(
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
async fn lone(runs: usize) -> Result<Vec<(Accepted, Accepted)>> {
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

async fn publishes(js: &jetstream::Context) -> Result<Accepted> {
    js.create_stream(stream::Config {
        name: "PLAIN".to_owned(),
        subjects: vec!["plain".to_owned()],
        ..Default::default()
    })
    .await?;
    let body = Payloads::from(0).deliveries(1, 1).remove(0);
    let mut latencies = Histogram::<u64>::new(3)?;
    let begun = Instant::now();
    while begun.elapsed() < MEASURED_FOR {
        let sent = Instant::now();
        js.publish("plain", body.clone()).await?.await?;
        latencies.record(u64::try_from(sent.elapsed().as_micros())?.max(1))?;
    }
    let rate = count(latencies.len()) / begun.elapsed().as_secs_f64();
    js.delete_stream("PLAIN").await?;
    let milliseconds = |percentile| count(latencies.value_at_percentile(percentile)) / 1000.0;
    Ok(Accepted {
        rate,
        p50: milliseconds(50.0),
        p99: milliseconds(99.0),
    })
}
