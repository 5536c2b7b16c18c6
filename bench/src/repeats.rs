//! What it costs that one delivery in twenty is told twice.

use anyhow::Result;
use bytes::Bytes;

use crate::database::Kind;
use crate::end_to_end;
use crate::payloads::{Payloads, with_repeats};
use crate::plan::Plan;
use crate::report::{Bound, Row, Target};
use crate::world::{Expected, World};

/// Events a second.
#[derive(Debug, Clone, Copy)]
struct Rates {
    published: f64,
    stored: f64,
    end_to_end: f64,
}

/// All rows of it.
pub async fn rows(plan: &Plan) -> Result<Vec<Row>> {
    let once = Payloads::from(0).deliveries(plan.events / 2, 1);
    let again = with_repeats(&once);
    let distinct = u64::try_from(once.len())?;
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for run in 0..plan.runs {
        // Whoever comes second has the warmer machine: in turns.
        let mut rates = [None, None];
        for turn in [run % 2, 1 - run % 2] {
            let bodies = if turn == 0 { &once } else { &again };
            rates[turn] = Some(measure(bodies, distinct).await?);
        }
        let [Some(first), Some(second)] = rates else {
            continue;
        };
        eprintln!("without repeats {first:?}, with {second:?}");
        without.push(first);
        with.push(second);
    }
    let row = |what: &str, figure: fn(&Rates) -> f64| {
        let each = |rates: &[Rates]| rates.iter().map(figure).collect();
        Row::new(
            format!("5 % of deliveries twice: {what}"),
            "events/s",
            each(&with),
        )
        .against("without", each(&without))
        .target(Target::Ratio(Bound::AtLeast(0.9)))
    };
    Ok(vec![
        row("publish", |rates| rates.published),
        row("store in PostgreSQL", |rates| rates.stored),
        row("end to end", |rates| rates.end_to_end),
    ])
}

async fn measure(bodies: &[Bytes], distinct: u64) -> Result<Rates> {
    let expected = Expected {
        events: u64::try_from(bodies.len())?,
        distinct,
    };
    let world = World::new(Kind::Postgres).await?;
    let published = world.publish(bodies).await?;
    let stored = world.drain(expected).await?;
    world.end().await?;
    let world = World::new(Kind::Postgres).await?;
    let igstream = world.igstream("").await?;
    let end_to_end = end_to_end::rate(&world, &igstream, bodies, expected).await?;
    igstream.process.stop()?;
    world.end().await?;
    Ok(Rates {
        published,
        stored,
        end_to_end,
    })
}
