//! Who goes first where more comes than can be stored.

use anyhow::Result;

use crate::database::Kind;
use crate::delays::Watch;
use crate::end_to_end::{post, rate};
use crate::load::signed;
use crate::payloads::Payloads;
use crate::plan::{Plan, count, number};
use crate::report::{Bound, Row, Target};
use crate::world::{Expected, World};

/// More than otherwise: what is paced must not wait for a connection.
const CONNECTIONS: usize = 256;
const MESSAGES: [&str; 1] = ["message"];
const RECEIPTS: [&str; 1] = ["messaging_seen"];

/// Milliseconds, and events a second.
#[derive(Debug, Clone, Copy)]
struct Run {
    stored: f64,
    taken: f64,
    messages: [f64; 2],
    receipts: [f64; 2],
    lost: f64,
}

/// All rows of it.
pub async fn rows(plan: &Plan) -> Result<Vec<Row>> {
    let mut runs = Vec::new();
    for _ in 0..plan.runs_at_most(3) {
        let run = measure(plan).await?;
        eprintln!("overload: {run:?}");
        runs.push(run);
    }
    let each = |figure: &dyn Fn(&Run) -> f64| runs.iter().map(figure).collect::<Vec<_>>();
    let delay = |name: &str, nth: usize| {
        Row::new(
            format!("twice the load that can be stored: messages' delay, {name}"),
            "ms",
            each(&|run| run.messages[nth]),
        )
        .against("receipts' delay", each(&|run| run.receipts[nth]))
        .target(Target::Ratio(Bound::Below(1.0)))
    };
    Ok(vec![
        Row::new(
            "twice the load that can be stored: taken",
            "events/s",
            each(&|run| run.taken),
        )
        .against("stored at most, before", each(&|run| run.stored)),
        delay("p50", 0),
        delay("p99", 1),
        Row::new(
            "twice the load that can be stored: lost",
            "events",
            each(&|run| run.lost),
        )
        .target(Target::Measured(Bound::AtMost(0.0))),
    ])
}

async fn measure(plan: &Plan) -> Result<Run> {
    let world = World::new(Kind::Postgres).await?;
    let igstream = world.igstream("").await?;
    let mut payloads = Payloads::from(0);
    let bodies = payloads.deliveries(plan.events / 2, 1);
    let before = Expected::once(u64::try_from(bodies.len())?);
    let stored = rate(&world, &igstream, &bodies, before).await?;
    let seconds = if plan.is_quick { 4.0 } else { 20.0 };
    let deliveries = signed(&payloads.deliveries(number(stored * 2.0, seconds), 1));
    let during = u64::try_from(deliveries.len())?;
    let watch = Watch::start(&world.nats.url, during).await?;
    let answers = post(&igstream, &deliveries, CONNECTIONS, Some(stored * 2.0)).await?;
    let delays = watch.all().await?;
    let all = before.and(Expected::once(during));
    world.done(all).await?;
    let rows = u64::try_from(world.database.events().await?)?;
    igstream.process.stop()?;
    world.end().await?;
    let both =
        |types: &[&str]| [50.0, 99.0].map(|percentile| delays.milliseconds(types, percentile));
    Ok(Run {
        stored,
        taken: answers.rate(),
        messages: both(&MESSAGES),
        receipts: both(&RECEIPTS),
        lost: count(all.events) - count(rows),
    })
}
