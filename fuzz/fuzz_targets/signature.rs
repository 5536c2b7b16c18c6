//! The header and the body of a delivery, in one input: up to the first line
//! break the header's value, then the body.

#![no_main]

use igstream::instagram::signature::{AppSecrets, sign};
use libfuzzer_sys::fuzz_target;

const SECRET: &str = "igstream-fuzz-secret";

fuzz_target!(|input: &[u8]| {
    let end = input.iter().position(|byte| *byte == b'\n');
    let (header, body) = match end {
        Some(end) => (Some(&input[..end]), &input[end + 1..]),
        None => (None, input),
    };
    let secrets = AppSecrets::new(["another", SECRET]);
    let right = sign(SECRET, body);
    assert!(secrets.verify(Some(right.as_bytes()), body).is_ok());
    assert!(secrets.verify(None, body).is_err());
    let believed = header.is_some_and(|header| secrets.verify(Some(header), body).is_ok());
    if believed {
        let header = String::from_utf8_lossy(header.unwrap_or_default()).to_lowercase();
        let signed = [SECRET, "another"].map(|secret| sign(secret, body));
        assert!(signed.contains(&header.trim().to_owned()), "{header}");
    }
});
