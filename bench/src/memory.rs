//! The memory that is held at most: it is not to grow with what was taken.

use anyhow::Result;

use crate::database::Kind;
use crate::end_to_end::rate;
use crate::payloads::Payloads;
use crate::plan::{Plan, size};
use crate::report::{Bound, Row, Target, figure};
use crate::world::{Expected, World};

/// Of which there are ten, a hundred and a thousand times as many.
const EVENTS: usize = 1000;
const TIMES: [usize; 3] = [10, 100, 1000];
/// In MiB, at most.
const BOUND: f64 = 200.0;

/// All rows of it.
pub async fn rows(plan: &Plan) -> Result<Vec<Row>> {
    let base = if plan.is_quick { EVENTS / 20 } else { EVENTS };
    let mut peaks = Vec::new();
    for times in TIMES {
        let events = base * times;
        let peak = measure(events).await?;
        eprintln!("{events} events: {peak:.0?} MiB");
        peaks.push((figure(size(events)), peak));
    }
    let mut rows = Vec::new();
    for (nth, name) in ["igstream", "nats-server"].into_iter().enumerate() {
        for (events, peak) in &peaks {
            let what = format!("peak memory of {name}, {events} events end to end");
            let (fewest, least) = &peaks[0];
            rows.push(
                Row::new(what, "MiB", vec![peak[nth]])
                    .against(format!("{fewest} events"), vec![least[nth]])
                    .target(Target::Measured(Bound::Below(BOUND))),
            );
        }
    }
    Ok(rows)
}

/// Of igstream and of nats-server, in MiB.
async fn measure(events: usize) -> Result<[f64; 2]> {
    let world = World::new(Kind::Postgres).await?;
    let igstream = world.igstream("").await?;
    let bodies = Payloads::from(0).deliveries(events, 1);
    let expected = Expected::once(u64::try_from(events)?);
    rate(&world, &igstream, &bodies, expected).await?;
    let peaks = [igstream.process.peak_mib(), world.nats.process.peak_mib()];
    igstream.process.stop()?;
    world.end().await?;
    Ok(peaks)
}
