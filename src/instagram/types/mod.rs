//! The event types: a file a type, which holds all that is particular to it.

use super::event::{Event, Malformed, Meaning};
use super::item::Item;

mod rows;
pub mod unknown;

pub use rows::{Merge, Plan, Table, Thread, Write};
pub use unknown::UNKNOWN;

/// The table of messages and that of read receipts: links are found between
/// their rows.
pub const MESSAGES: &str = message::TABLE_NAME;
/// The table of mentions, those in stories among them.
pub const MENTIONS: &str = mention::TABLE_NAME;
/// See [`MESSAGES`].
pub const SEEN: &str = messaging_seen::TABLE_NAME;

/// All that the rest of the program needs to know of a type.
#[derive(Debug)]
pub struct EventType {
    /// As in subjects, columns and labels.
    pub name: &'static str,
    /// Who goes first when there is more to store than the database can take:
    /// 1 to 10, lower is sooner, as `handlers.priority` says nothing else of it.
    pub priority: u8,
    /// Whether an item says that it is of this type. The first that claims it
    /// has it.
    pub claims: fn(&Item) -> bool,
    /// What the item means.
    pub understand: fn(&Item) -> Result<Meaning, Malformed>,
    /// The tables that its rows are in.
    pub tables: &'static [&'static Table],
    /// The rows of an event of this type.
    pub plan: for<'a> fn(&'a Event) -> Plan<'a>,
}

/// The types whose events tell of messages: what is unsent may have come as
/// either.
pub static OF_MESSAGES: [&EventType; 2] = [&message::TYPE, &story_mention::TYPE];

pub use story_mention::event_id as story_mention_id;

/// Names each type once: its module, and its place in the list. The order
/// decides who is asked first for an item.
macro_rules! event_types {
    ($($name:ident),+ $(,)?) => {
        $(mod $name;)+

        /// The types, in the order in which they are asked for an item.
        pub static ALL: [&EventType; [$(stringify!($name)),+].len()] = [$(&$name::TYPE),+];
    };
}

event_types! {
    comment,
    live_comment,
    mention,
    story_mention,
    message,
    message_reactions,
    messaging_postbacks,
    messaging_seen,
    story_insights,
}

/// Every type a message can be of: the list, and `unknown`.
pub fn with_unknown() -> impl Iterator<Item = &'static EventType> {
    ALL.into_iter().chain([&UNKNOWN])
}

/// Every table that the events of some type leave rows in, once.
#[must_use]
pub fn tables() -> Vec<&'static Table> {
    let mut tables: Vec<&Table> = Vec::new();
    for table in ALL.iter().flat_map(|event_type| event_type.tables) {
        if tables.iter().all(|known| known.name != table.name) {
            tables.push(table);
        }
    }
    tables
}

/// The type of that name.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static EventType> {
    with_unknown().find(|event_type| event_type.name == name)
}

/// A column's value from anything that Serde can write.
macro_rules! row {
    ($($column:tt: $value:expr),* $(,)?) => {{
        let mut row = serde_json::Map::new();
        $(row.insert($column.to_owned(), serde_json::json!($value));)*
        row
    }};
}
use row;
