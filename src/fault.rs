//! Faults that the tests can ask for. Builds for release have none.
//!
//! `IGSTREAM_FAULT` lists them, separated by commas, each `WHAT:WHERE` or
//! `WHAT:WHERE:WHEN`:
//!
//! | what | what it does |
//! |---|---|
//! | `panic` | panics |
//! | `abort` | ends the process at once, as a stack overflow or the kernel does |
//! | `stall` | goes on with nothing, for ever: a handler waits, the publisher hangs |
//! | `fail` | an error of the event's own; of handlers only |
//! | `away` | an error of the world's: no connection to the database; of handlers only |
//! | `odd` | an error that may be either's; of handlers only |
//!
//! | where | what is hit |
//! |---|---|
//! | the name of an event type | the attempt of its handler at a batch |
//! | `handlers` | that of every handler |
//! | `publisher` | the understanding of a delivery |
//! | `retention` | a batch that is archived and not yet deleted |
//!
//! | when | |
//! |---|---|
//! | nothing | each time |
//! | a number | the first times |
//! | `on:TEXT` | each time that an event's id, or a delivery's body, holds the text |
//!
//! As in `panic:comment:2,abort:publisher:on:poison`.

use std::env;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use sea_orm::{ConnAcquireErr, DbErr};

use crate::store::{Incoming, StoreError};

/// The publisher as a place.
const PUBLISHER: &str = "publisher";
/// Retention as a place.
const RETENTION: &str = "retention";
/// Every handler as a place.
const HANDLERS: &str = "handlers";
const ASKED: &str = "asked for by IGSTREAM_FAULT";

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum What {
    Panic,
    Abort,
    Stall,
    Fail,
    Away,
    Odd,
}

#[derive(Debug)]
enum When {
    Always,
    First(u32),
    On(String),
}

#[derive(Debug)]
struct Fault {
    what: What,
    place: String,
    when: When,
    struck: AtomicU32,
}

impl Fault {
    fn parse(text: &str) -> Option<Self> {
        let (what, place) = text.trim().split_once(':')?;
        let (place, when) = match place.split_once(':') {
            None => (place, When::Always),
            Some((place, when)) => (place, When::parse(when)?),
        };
        let what = match what {
            "panic" => What::Panic,
            "abort" => What::Abort,
            "stall" => What::Stall,
            "fail" => What::Fail,
            "away" => What::Away,
            "odd" => What::Odd,
            _ => return None,
        };
        Some(Self {
            what,
            place: place.to_owned(),
            when,
            struck: AtomicU32::new(0),
        })
    }

    fn strikes(&self, holds: impl Fn(&str) -> bool) -> bool {
        match &self.when {
            When::Always => true,
            When::First(times) => self.struck.fetch_add(1, Ordering::Relaxed) < *times,
            When::On(text) => holds(text),
        }
    }
}

impl When {
    fn parse(text: &str) -> Option<Self> {
        match text.split_once(':') {
            Some(("on", text)) => Some(Self::On(text.to_owned())),
            _ => text.parse().ok().map(Self::First),
        }
    }
}

/// What was asked for. What cannot be read is a mistake in a test.
fn all() -> &'static [Fault] {
    static ALL: OnceLock<Vec<Fault>> = OnceLock::new();
    ALL.get_or_init(|| {
        let asked = env::var("IGSTREAM_FAULT").unwrap_or_default();
        let faults = asked.split(',').filter(|fault| !fault.trim().is_empty());
        faults
            .map(|fault| {
                Fault::parse(fault)
                    .unwrap_or_else(|| panic!("IGSTREAM_FAULT: {fault:?} is no WHAT:WHERE:WHEN"))
            })
            .collect()
    })
}

fn at(places: &[&str], holds: impl Fn(&str) -> bool) -> Option<What> {
    let here = |fault: &&Fault| places.contains(&fault.place.as_str());
    let mut here = all().iter().filter(here);
    here.find(|fault| fault.strikes(&holds))
        .map(|fault| fault.what)
}

/// Whether any can strike a type's handler.
pub(crate) fn is_asked_in(event_type: &str) -> bool {
    let here = |fault: &Fault| [event_type, HANDLERS].contains(&fault.place.as_str());
    all().iter().any(here)
}

/// Strikes the attempt of a type's handler at a batch.
pub(crate) async fn in_handler(event_type: &str, events: &[Incoming]) -> Result<(), StoreError> {
    let holds = |text: &str| {
        events
            .iter()
            .any(|incoming| incoming.event.event_id.contains(text))
    };
    match at(&[event_type, HANDLERS], holds) {
        None => Ok(()),
        Some(What::Panic) => panic!("{ASKED}"),
        Some(What::Abort) => std::process::abort(),
        Some(What::Stall) => std::future::pending().await,
        Some(What::Fail) => Err(StoreError::Unwritable(serde::de::Error::custom(ASKED))),
        Some(What::Away) => Err(DbErr::ConnectionAcquire(ConnAcquireErr::Timeout).into()),
        Some(What::Odd) => Err(DbErr::Custom(ASKED.to_owned()).into()),
    }
}

/// Strikes the understanding of a delivery.
pub(crate) fn in_publisher(body: &[u8]) {
    let holds = |text: &str| String::from_utf8_lossy(body).contains(text);
    match at(&[PUBLISHER], holds) {
        None => {}
        Some(What::Abort) => std::process::abort(),
        Some(What::Stall) => loop {
            std::thread::park();
        },
        Some(_) => panic!("{ASKED}"),
    }
}

/// Strikes a batch that is archived and not yet deleted.
pub(crate) fn in_retention() {
    match at(&[RETENTION], |_| false) {
        None => {}
        Some(What::Abort) => std::process::abort(),
        Some(_) => panic!("{ASKED}"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn reads_what_is_asked_for() {
        let first = Fault::parse("panic:comment:2").unwrap();
        assert_eq!((first.what, first.place.as_str()), (What::Panic, "comment"));
        let struck: Vec<bool> = (0..3).map(|_| first.strikes(|_| false)).collect();
        assert_eq!(struck, [true, true, false]);

        let on = Fault::parse("abort:publisher:on:a:b").unwrap();
        assert!(on.strikes(|text| text == "a:b"));
        assert!(!on.strikes(|_| false));

        assert!(Fault::parse("stall:handlers").unwrap().strikes(|_| false));
        for wrong in ["panic", "burn:comment", "panic:comment:often"] {
            assert!(Fault::parse(wrong).is_none(), "{wrong}");
        }
    }
}
