//! A message of the journal: read or refused, and what is read can be written
//! and read again.

#![no_main]

use igstream::journal::{pack, unpack, weight};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|message: &[u8]| {
    let Ok(deliveries) = unpack(&message.to_vec().into()) else {
        return;
    };
    let packed = pack(&deliveries).expect("what was read can be written");
    assert_eq!(
        unpack(&packed).expect("what was written can be read"),
        deliveries
    );
    let weight: usize = deliveries.iter().map(weight).sum();
    assert!(
        packed.len() <= weight + 64,
        "{} bytes weigh {weight}",
        packed.len()
    );
});
