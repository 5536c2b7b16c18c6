//! Event ids: two lists of parts share one only if they are the same list.

#![no_main]

use igstream::instagram::identity::{Part, column_id, event_id, event_ids_with, subject_token};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

/// The first part, as Instagram made it, and those after it.
#[derive(Arbitrary, Debug, PartialEq)]
struct Parts {
    lead: Option<String>,
    next: Vec<Option<String>>,
}

impl Parts {
    fn event_id(&self) -> String {
        let lead = std::iter::once(Part::Lead(self.lead.as_deref()));
        let next = self.next.iter().map(|part| Part::Next(part.as_deref()));
        event_id("message", &lead.chain(next).collect::<Vec<_>>())
    }

    fn is_like(&self, other: &Self) -> bool {
        self.next.len() == other.next.len() && self == other
    }
}

fuzz_target!(|input: (Parts, Parts)| {
    let (one, other) = input;
    for parts in [&one, &other] {
        is_sound(parts);
    }
    // A type has one number of parts.
    if one.next.len() == other.next.len() && !one.is_like(&other) {
        assert_ne!(one.event_id(), other.event_id(), "{one:?} and {other:?}");
    }
});

fn is_sound(parts: &Parts) {
    let id = parts.event_id();
    assert!(id.starts_with("message_") && id.len() <= 400);
    assert!(id.bytes().all(|byte| byte.is_ascii_graphic()), "{id}");
    let lead = parts.lead.as_deref().unwrap_or_default();
    let column = column_id(lead);
    assert!(column.chars().count() <= 255 && !column.contains('\0'));
    if parts.lead.is_some() && !parts.next.is_empty() {
        let range = event_ids_with("message", &column);
        assert!(range.contains(&id), "{id} is not in {range:?}");
    }
    let token = subject_token(lead);
    assert!(!token.is_empty() && token.len() <= 200);
    assert!(
        token
            .chars()
            .all(|c| !matches!(c, '.' | '*' | '>') && !c.is_whitespace() && !c.is_control())
    );
}
