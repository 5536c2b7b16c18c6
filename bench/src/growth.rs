//! Whether storing slows down with what is stored already, and whether it is the database that does.

use anyhow::Result;

use crate::database::{Benched, Kind, TABLES};
use crate::limits::Lines;
use crate::past::Past;
use crate::payloads::Payloads;
use crate::plan::Plan;
use crate::report::{Bound, Row, Target};
use crate::world::{Expected, World};

/// Events that are stored already.
const SIZES: [usize; 4] = [10_000, 100_000, 1_000_000, 5_000_000];
/// Events that are stored then.
const EVENTS: usize = 50_000;
/// Events a transaction of the database's own limit.
const CHUNK: usize = 2000;

/// What was stored a second, and what the database takes at most: medians are of the same size.
#[derive(Debug, Default)]
struct Speeds {
    stored: Vec<f64>,
    limits: Vec<f64>,
}

/// All rows of it.
pub async fn rows(plan: &Plan) -> Result<Vec<Row>> {
    let (sizes, events) = if plan.is_quick {
        (&SIZES[..2], EVENTS / 5)
    } else {
        (&SIZES[..], EVENTS)
    };
    let world = World::new(Kind::Postgres).await?;
    let mut payloads = Payloads::from(0);
    // A beginning, of which the rest of the past is made.
    store(&world, &mut payloads, SIZES[0]).await?;
    let mut past = Past::of(&world.database, SIZES[0]).await?;
    let mut rows = Vec::new();
    for size in sizes {
        past.grow(&world.database, *size).await?;
        let mut speeds = Speeds::default();
        for _ in 0..plan.runs_at_most(2) {
            let (stored, limit) = measure(&world, &mut payloads, events).await?;
            eprintln!("on {size} events: stored {stored:.0}/s of {limit:.0}/s");
            speeds.stored.push(stored);
            speeds.limits.push(limit);
        }
        rows.push(
            Row::new(
                format!("store in PostgreSQL, {} stored already", name(*size)),
                "events/s",
                speeds.stored,
            )
            .against("the same rows by SQL there", speeds.limits),
        );
    }
    world.end().await?;
    Ok(with_target(rows))
}

fn name(size: usize) -> String {
    match size {
        5_000_000 => "5·10^6".to_owned(),
        size => format!("10^{}", size.ilog10()),
    }
}

/// The ratio to the database should be as good on the most as it is on the fewest; a tenth is noise.
fn with_target(rows: Vec<Row>) -> Vec<Row> {
    let target = rows
        .first()
        .and_then(Row::ratio)
        .map(|first| Target::Ratio(Bound::AtLeast(first * 0.9)));
    rows.into_iter().map(|row| row.target(target)).collect()
}

async fn store(world: &World, payloads: &mut Payloads, events: usize) -> Result<f64> {
    world.publish(&payloads.deliveries(events, 1)).await?;
    world.drain(Expected::once(u64::try_from(events)?)).await
}

/// Stores `events`, then writes the same rows again by the fastest SQL; both are taken out again.
async fn measure(world: &World, payloads: &mut Payloads, events: usize) -> Result<(f64, f64)> {
    let database = &world.database;
    let is_new = format!("created_at >= '{}'", database.now().await?);
    let stored = store(world, payloads, events).await?;
    let rows = Lines::read(database, &is_new).await?;
    remove(database, &is_new).await?;
    let limit = rows.insert(database, CHUNK).await?;
    remove(database, &is_new).await?;
    Ok((stored, limit))
}

/// With the traces that it would leave.
async fn remove(database: &Benched, condition: &str) -> Result<()> {
    for table in TABLES.iter().rev() {
        database
            .run(&format!("DELETE FROM {table} WHERE {condition}"))
            .await?;
        database.run(&format!("VACUUM {table}")).await?;
    }
    database.run("CHECKPOINT").await
}
