//! Deliveries are taken while they are stored too.

use anyhow::Result;

use crate::accept::{Accepted, MEASURED_FOR, Way, deliveries, each, measured, post};
use crate::database::Kind;
use crate::load::Answers;
use crate::plan::{Plan, count, size};
use crate::report::Row;
use crate::world::World;

/// Its rows.
pub async fn rows(plan: &Plan) -> Result<Vec<Row>> {
    let runs = measure(plan.runs).await?;
    let what = "accept, all roles, 64 connections";
    Ok(vec![
        Row::new(what, "deliveries/s", each(&runs, |run| run.with_all.rate()))
            .against("receiver alone", each(&runs, |run| run.alone.rate)),
        Row::new(
            format!("{what}: waiting at the end"),
            "events",
            each(&runs, |run| run.waiting),
        )
        .against("taken", each(&runs, |run| size(run.with_all.taken))),
    ])
}

/// All roles, and the receiver alone.
struct Beside {
    with_all: Answers,
    /// Events that are taken and not stored when the last is taken.
    waiting: f64,
    alone: Accepted,
}

async fn measure(runs: usize) -> Result<Vec<Beside>> {
    let way = Way {
        connections: 64,
        items: 1,
    };
    let deliveries = deliveries(way);
    let mut all = Vec::new();
    for _ in 0..runs {
        let world = World::new(Kind::Postgres).await?;
        let receiver = world.igstream("receiver").await?;
        let alone = measured(receiver.http, &deliveries, way).await?;
        receiver.process.stop()?;
        world.end().await?;
        // What was told to the other would be there already.
        let world = World::new(Kind::Postgres).await?;
        let igstream = world.igstream("").await?;
        let with_all = post(igstream.http, &deliveries, way, MEASURED_FOR).await?;
        let stored = world.database.events().await?;
        let run = Beside {
            waiting: size(with_all.taken) - count(u64::try_from(stored)?),
            with_all,
            alone,
        };
        drop(igstream);
        world.end().await?;
        eprintln!(
            "all roles: {:.0}/s, {:.0} waiting, of {:.0}/s alone",
            run.with_all.rate(),
            run.waiting,
            run.alone.rate
        );
        all.push(run);
    }
    Ok(all)
}
