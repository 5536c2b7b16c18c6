//! What waits in the journal is published, and what waits in the stream of events is stored: each beside what the
//! broker, or the database, takes at most.

use anyhow::Result;

use crate::batches;
use crate::database::Kind;
use crate::limits;
use crate::payloads::Payloads;
use crate::plan::Plan;
use crate::report::{Bound, Row, Target};
use crate::world::{Expected, World};

/// Events a transaction, of which the fastest counts.
const CHUNKS: [usize; 2] = [2000, 10_000];

/// Publishing.
pub async fn published(plan: &Plan) -> Result<Vec<Row>> {
    let (mut published, mut batches) = (Vec::new(), Vec::new());
    for _ in 0..plan.runs {
        let world = World::new(Kind::Sqlite).await?;
        let js = world.nats.jetstream().await?;
        let bodies = Payloads::from(0).deliveries(plan.events, 1);
        let speed = world.publish(&bodies).await?;
        drop(bodies);
        let limit = batches::speed(&js, &batches::read(&js).await?).await?;
        eprintln!(
            "published {speed:.0}/s of {limit:.0}/s ({:.2})",
            speed / limit
        );
        published.push(speed);
        batches.push(limit);
    }
    Ok(vec![
        Row::new("publish what waits in the journal", "events/s", published)
            .against("the same messages in atomic batches of 1,000", batches)
            .target(Target::Ratio(Bound::AtLeast(0.8))),
    ])
}

/// Storing in a database of this kind.
pub async fn stored(kind: Kind, plan: &Plan) -> Result<Vec<Row>> {
    let (mut stored, mut limits) = (Vec::new(), Vec::new());
    for _ in 0..plan.runs {
        let world = World::new(kind).await?;
        let bodies = Payloads::from(0).deliveries(plan.events, 1);
        world.publish(&bodies).await?;
        drop(bodies);
        let speed = world
            .drain(Expected::once(u64::try_from(plan.events)?))
            .await?;
        let limit = limit(&world).await?;
        world.end().await?;
        eprintln!(
            "{kind:?}: stored {speed:.0}/s of {limit:.0}/s ({:.2})",
            speed / limit
        );
        stored.push(speed);
        limits.push(limit);
    }
    let row = Row::new(
        format!("store in {} what waits", name(kind)),
        "events/s",
        stored,
    )
    .against("the same rows by the fastest SQL", limits);
    Ok(vec![match kind {
        Kind::Postgres => row.target(Target::Ratio(Bound::AtLeast(0.7))),
        Kind::Sqlite => row,
    }])
}

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Postgres => "PostgreSQL",
        Kind::Sqlite => "SQLite",
    }
}

/// What the database takes at most of the rows that are in it: events a second.
async fn limit(world: &World) -> Result<f64> {
    let rows = limits::Rows::read(&world.database, world.home.path()).await?;
    let mut fastest: f64 = 0.0;
    for chunk in CHUNKS {
        world.database.empty().await?;
        fastest = fastest.max(rows.insert(&world.database, chunk).await?);
    }
    Ok(fastest)
}
