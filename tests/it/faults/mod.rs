//! What was answered 200 is stored exactly once and told exactly once, and nothing innocent is dead, whatever breaks
//! under load: each fault breaks real processes, connections or disks, and work goes on by itself.
//!
//! `make test` runs the short form, `make test-faults` the long one ([`form`]).

mod cluster;
mod connections;
mod disks;
mod igstream;
mod instances;
mod nats;
mod postgres;
mod trial;

use std::{env, time::Duration};

use rand::{RngExt, SeedableRng, rngs::Xoshiro256PlusPlus};

/// How much is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Short,
    Long,
}

/// `IGSTREAM_TEST_FAULTS`: `short` or `long`.
fn form() -> Form {
    match env::var("IGSTREAM_TEST_FAULTS").as_deref() {
        Err(_) | Ok("short") => Form::Short,
        Ok("long") => Form::Long,
        Ok(other) => panic!("IGSTREAM_TEST_FAULTS is short or long, not {other:?}"),
    }
}

/// The first in the short form, the second in the long one.
fn in_form<T>(short: T, long: T) -> T {
    match form() {
        Form::Short => short,
        Form::Long => long,
    }
}

/// Random moments, the same again with the same seed: `IGSTREAM_TEST_SEED`.
struct Moments {
    seed: u64,
    random: Xoshiro256PlusPlus,
}

impl Moments {
    fn new() -> Self {
        let wanted = env::var("IGSTREAM_TEST_SEED").ok();
        let seed = wanted.map_or_else(
            || rand::random_range(0..1_000_000),
            |seed| seed.parse().expect("IGSTREAM_TEST_SEED is a number"),
        );
        Self {
            seed,
            random: Xoshiro256PlusPlus::seed_from_u64(seed),
        }
    }

    fn between(&mut self, least: Duration, most: Duration) -> Duration {
        self.random.random_range(least..=most)
    }
}
