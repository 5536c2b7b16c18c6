//! From the post to the row: igstream with all roles, and the usual design.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use hdrhistogram::Histogram;
use igstream::instagram::{Delivery, understand};
use igstream::receiver;
use uuid::Uuid;

use crate::backlog::PATIENCE;
use crate::database::Kind;
use crate::delays::Watch;
use crate::load::{Answers, Load, Signed, signed};
use crate::payloads::Payloads;
use crate::plan::{Plan, count, number, size};
use crate::report::{Bound, Row, Target};
use crate::servers::Igstream;
use crate::usual::{self, UsualDesign};
use crate::world::{Expected, World};

const CONNECTIONS: usize = 64;
/// How often is looked whether the usual design is done.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What came of one run of one of the two.
#[derive(Debug, Clone, Copy)]
struct Run {
    /// Events a second.
    rate: f64,
    /// From received to committed at half of that, in milliseconds.
    p50: f64,
    /// The same.
    p99: f64,
}

/// All rows of it.
pub async fn rows(plan: &Plan) -> Result<Vec<Row>> {
    let (mut ours, mut usual) = (Vec::new(), Vec::new());
    for _ in 0..plan.runs {
        let world = World::new(Kind::Postgres).await?;
        let run = measure_igstream(&world, plan).await?;
        eprintln!("end to end: {run:?}");
        ours.push(run);
        let run = measure_usual(&world, plan).await?;
        eprintln!("the usual design: {run:?}");
        usual.push(run);
        world.end().await?;
    }
    let each = |runs: &[Run], figure: fn(&Run) -> f64| runs.iter().map(figure).collect();
    let row = |what: &str, unit, figure: fn(&Run) -> f64| {
        Row::new(what, unit, each(&ours, figure)).against("the usual design", each(&usual, figure))
    };
    Ok(vec![
        row("end to end, as fast as it is taken", "events/s", |run| {
            run.rate
        })
        .target(Target::Ratio(Bound::AtLeast(15.0))),
        row(
            "received to committed, each at half of its load: p50",
            "ms",
            |run| run.p50,
        )
        .target(Target::Measured(Bound::Below(15.0))),
        row(
            "received to committed, each at half of its load: p99",
            "ms",
            |run| run.p99,
        )
        .target(Target::Measured(Bound::Below(60.0))),
    ])
}

/// Posts `deliveries` over so many connections, all of them.
pub async fn post(
    igstream: &Igstream,
    deliveries: &Arc<Vec<Signed>>,
    connections: usize,
    pace: Option<f64>,
) -> Result<Answers> {
    let load = Load {
        address: igstream.http,
        path: receiver::PATH,
        deliveries: Arc::clone(deliveries),
        connections,
        pace,
        at_most: PATIENCE,
    };
    all_taken(load.post().await?, deliveries.len())
}

fn all_taken(answers: Answers, all: usize) -> Result<Answers> {
    let (taken, refused) = (answers.taken, answers.refused);
    ensure!(
        taken == all,
        "{taken} of {all} deliveries are taken, {refused} refused"
    );
    Ok(answers)
}

/// Posts deliveries of one event each as fast as they are taken: events a second until the last is stored.
/// `expected` is all that will have been posted then.
pub async fn rate(
    world: &World,
    igstream: &Igstream,
    bodies: &[Bytes],
    expected: Expected,
) -> Result<f64> {
    let answers = post(igstream, &signed(bodies), CONNECTIONS, None).await?;
    let took = world.done(expected).await? - answers.begun;
    Ok(size(bodies.len()) / took.as_secs_f64())
}

async fn measure_igstream(world: &World, plan: &Plan) -> Result<Run> {
    let igstream = world.igstream("").await?;
    let mut payloads = Payloads::from(0);
    let bodies = payloads.deliveries(plan.events / 2, 1);
    let posted = Expected::once(u64::try_from(bodies.len())?);
    let rate = rate(world, &igstream, &bodies, posted).await?;
    let seconds = if plan.is_quick { 2.0 } else { 8.0 };
    let bodies = payloads.deliveries(number(rate / 2.0, seconds), 1);
    let paced = u64::try_from(bodies.len())?;
    let watch = Watch::start(&world.nats.url, paced).await?;
    post(&igstream, &signed(&bodies), CONNECTIONS, Some(rate / 2.0)).await?;
    let delays = watch.all().await?;
    world.done(posted.and(Expected::once(paced))).await?;
    igstream.process.stop()?;
    Ok(Run {
        rate,
        p50: delays.milliseconds(&[], 50.0),
        p99: delays.milliseconds(&[], 99.0),
    })
}

async fn measure_usual(world: &World, plan: &Plan) -> Result<Run> {
    let design = UsualDesign::start(world.home.path(), &world.database.url).await?;
    let mut payloads = Payloads::from(0);
    // It takes as long for a fiftieth of them.
    let bodies = payloads.deliveries(plan.events / 50, 1);
    let begun = post_usual(&design, &bodies, None).await?.begun;
    let done = usual_done(&design, bodies.len()).await?;
    let rate = size(bodies.len()) / (done - begun).as_secs_f64();
    let seconds = if plan.is_quick { 2.0 } else { 8.0 };
    let paced = payloads.deliveries(number(rate / 2.0, seconds), 1);
    let answers = post_usual(&design, &paced, Some(rate / 2.0)).await?;
    usual_done(&design, bodies.len() + paced.len()).await?;
    let delays = usual_delays(&design, &paced, answers.begun_at, rate / 2.0).await?;
    let milliseconds = |percentile| count(delays.value_at_percentile(percentile)) / 1000.0;
    Ok(Run {
        rate,
        p50: milliseconds(50.0),
        p99: milliseconds(99.0),
    })
}

async fn post_usual(design: &UsualDesign, bodies: &[Bytes], pace: Option<f64>) -> Result<Answers> {
    let load = Load {
        address: design.http,
        path: usual::PATH,
        deliveries: signed(bodies),
        connections: CONNECTIONS,
        pace,
        at_most: PATIENCE,
    };
    all_taken(load.post().await?, bodies.len())
}

async fn usual_done(design: &UsualDesign, events: usize) -> Result<Instant> {
    let begun = Instant::now();
    while design.stored().await? < u64::try_from(events)? {
        if begun.elapsed() > PATIENCE {
            bail!("the usual design has not stored all after {PATIENCE:?}");
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(Instant::now())
}

/// From when each was due to be posted, in microseconds. Its ids of events are igstream's.
async fn usual_delays(
    design: &UsualDesign,
    bodies: &[Bytes],
    begun_at: DateTime<Utc>,
    pace: f64,
) -> Result<Histogram<u64>> {
    let mut due = HashMap::new();
    for (nth, body) in bodies.iter().enumerate() {
        let after = Duration::from_secs_f64(size(nth) / pace);
        due.insert(event_id(body)?, begun_at + after);
    }
    let mut delays = Histogram::new(3)?;
    for (id, committed) in design.committed().await? {
        if let Some(due) = due.get(&id) {
            let micros = (committed - *due).num_microseconds().unwrap_or(1);
            delays.record(u64::try_from(micros).unwrap_or(1).max(1))?;
        }
    }
    let (found, all) = (delays.len(), bodies.len());
    ensure!(
        found * 10 >= u64::try_from(all)? * 9,
        "{found} of {all} events are found in the usual design"
    );
    Ok(delays)
}

fn event_id(body: &Bytes) -> Result<String> {
    let delivery = Delivery {
        id: Uuid::now_v7(),
        received_at: Utc::now(),
        signature: String::new(),
        secret_id: String::new(),
        body: body.clone(),
    };
    let event = understand(&delivery).into_iter().next();
    Ok(event.context("a delivery without an event")?.event_id)
}
