//! The books: what the simulator sent, against what is in the database and in the streams.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use entity::webhook_event::{self, status};
use igstream::stream::names::{DEAD_LETTERS, EVENTS, STORED};
use sea_orm::{ConnectionTrait, DatabaseConnection, EntityTrait, Statement};
use serde::Deserialize;
use uuid::Uuid;

use super::nats::{Found, Streams};

/// The typed tables, and whether their ids are UUIDs of the service's own.
const TYPED: [(&str, bool); 7] = [
    ("instagram_comments", false),
    ("instagram_mentions", false),
    ("messages", false),
    ("instagram_message_reactions", true),
    ("instagram_messaging_postbacks", true),
    ("instagram_messaging_seen", true),
    ("instagram_story_insights_aggregated", true),
];

/// Account, type, event id: what happened.
pub type Event = (String, String, String);

/// A line of the simulator's ledger.
#[derive(Debug, Deserialize)]
pub struct Line {
    delivery: u64,
    #[serde(rename = "type")]
    event_type: Option<String>,
    ig_account_id: Option<String>,
    event_id: Option<String>,
    expectation: String,
    status: Option<u16>,
    retried: bool,
}

impl Line {
    fn event(&self) -> Option<Event> {
        Some((
            self.ig_account_id.clone()?,
            self.event_type.clone()?,
            self.event_id.clone()?,
        ))
    }
}

/// What was sent.
pub struct Ledger(Vec<Line>);

impl Ledger {
    pub fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).expect("a ledger");
        let line = |line: &str| serde_json::from_str(line).expect("a line of the ledger");
        Self(text.lines().map(line).collect())
    }

    /// Adds a comment that the test posted itself, more than once until it was accepted.
    pub fn add_comment(&mut self, ig_account_id: &str, event_id: &str) {
        let next = self.0.iter().map(|line| line.delivery + 1).max();
        self.0.push(Line {
            delivery: next.unwrap_or_default(),
            event_type: Some("comment".to_owned()),
            ig_account_id: Some(ig_account_id.to_owned()),
            event_id: Some(event_id.to_owned()),
            expectation: "stored".to_owned(),
            status: Some(200),
            retried: true,
        });
    }

    /// What was sent of all accounts but this one.
    pub fn without(mut self, ig_account_id: &str) -> Self {
        self.0
            .retain(|line| line.ig_account_id.as_deref() != Some(ig_account_id));
        self
    }

    fn lines(&self, expectation: &str) -> impl Iterator<Item = &Line> {
        self.0
            .iter()
            .filter(move |line| line.expectation == expectation)
    }

    fn count(&self, expectation: &str) -> usize {
        self.lines(expectation).count()
    }

    fn events(&self, expectation: &str) -> BTreeSet<Event> {
        self.lines(expectation).filter_map(Line::event).collect()
    }

    /// Lines by account and type.
    fn counts(&self, expectation: &str) -> BTreeMap<(&str, &str), usize> {
        let by = self.lines(expectation).filter_map(|line| {
            let account = line.ig_account_id.as_deref()?;
            Some((account, line.event_type.as_deref()?))
        });
        counted(by)
    }

    /// Deliveries that were answered so, and are not only ignored.
    pub fn deliveries(&self, status: u16, ignored: bool) -> u64 {
        let numbers: BTreeSet<u64> = self
            .0
            .iter()
            .filter(|line| {
                line.status == Some(status) && (line.expectation == "ignored") == ignored
            })
            .map(|line| line.delivery)
            .collect();
        numbers.len() as u64
    }

    /// Events in deliveries that were answered 200, and not ignored.
    pub fn accepted_events(&self) -> usize {
        let accepted = |line: &&Line| line.status == Some(200) && line.expectation != "ignored";
        self.0.iter().filter(accepted).count()
    }

    /// Events that were posted again after an outcome that nobody knew: each may be there once more.
    fn retried(&self) -> usize {
        self.0.iter().filter(|line| line.retried).count()
    }
}

/// What became of what was answered 200.
#[derive(Debug)]
pub struct Tally {
    pub deliveries: u64,
    /// Also those told again, and those that must end dead.
    pub events: usize,
    /// Different ones.
    pub stored: usize,
    /// Not stored.
    pub lost: usize,
    /// Stored, or told as stored, once too often.
    pub doubled: usize,
    /// Dead letters that were no poison.
    pub innocent_dead: usize,
}

/// What the service has of it.
pub struct Books {
    pub rows: Vec<webhook_event::Model>,
    typed: BTreeSet<(String, String, Uuid)>,
    events: Vec<Found>,
    stored: Vec<Found>,
    dead_letters: Vec<Found>,
}

impl Books {
    pub async fn read(database: &DatabaseConnection, streams: &Streams) -> Self {
        Self {
            rows: webhook_event::Entity::find()
                .all(database)
                .await
                .expect("the generic log can be read"),
            typed: typed_rows(database).await,
            events: streams.messages(EVENTS).await,
            stored: streams.messages(STORED).await,
            dead_letters: streams.messages(DEAD_LETTERS).await,
        }
    }

    /// What there is of all accounts but this one. Typed rows have no such id: there must be none of it.
    pub fn without(mut self, ig_account_id: &str) -> Self {
        self.rows.retain(|row| row.ig_account_id != ig_account_id);
        for messages in [&mut self.events, &mut self.stored, &mut self.dead_letters] {
            messages.retain(|message| message.text("ig_account_id") != ig_account_id);
        }
        self
    }

    pub fn with_status(&self, status: &str) -> impl Iterator<Item = &webhook_event::Model> {
        self.rows.iter().filter(move |row| row.status == status)
    }

    /// Rows of that status by account and type.
    fn counts(&self, status: &str) -> BTreeMap<(&str, &str), usize> {
        let rows = self.with_status(status);
        counted(rows.map(|row| (row.ig_account_id.as_str(), row.event_type.as_str())))
    }

    /// Rows by type, of those that `wanted` wants.
    pub fn by_type(&self, wanted: impl Fn(&webhook_event::Model) -> bool) -> BTreeMap<&str, u64> {
        let mut counts = BTreeMap::new();
        for row in self.rows.iter().filter(|row| wanted(row)) {
            *counts.entry(row.event_type.as_str()).or_default() += 1;
        }
        counts
    }

    /// What became of what was accepted, in numbers: [`Self::balance`] looks closer.
    pub fn tally(&self, ledger: &Ledger) -> Tally {
        let rows: Vec<Event> = self.with_status(status::STORED).map(event_of).collect();
        let told: Vec<Event> = self.stored.iter().map(event_told).collect();
        let known = |event: &&Event| event.1 != "unknown";
        let stored: BTreeSet<&Event> = rows.iter().collect();
        let wanted = ledger.events("stored");
        let missing = wanted.iter().filter(|event| !stored.contains(event));
        // What is unknown is told by a digest, which the simulator does not know: it is counted.
        let unknown = stored.len() - stored.iter().copied().filter(known).count();
        let unknown_wanted = ledger.count("stored") - wanted.len();
        let told_once: BTreeSet<&Event> = told.iter().collect();
        let dead = self.with_status(status::DEAD).count();
        Tally {
            deliveries: ledger.deliveries(200, false),
            events: ledger.accepted_events(),
            stored: stored.len(),
            lost: missing.count() + unknown_wanted.saturating_sub(unknown),
            doubled: (rows.len() - stored.len()) + (told.len() - told_once.len()),
            innocent_dead: dead.saturating_sub(ledger.count("dead")),
        }
    }

    /// Everything that was sent is there as it must be, and nothing else.
    pub fn balance(&self, ledger: &Ledger) {
        self.stored_is_what_was_sent(ledger);
        self.duplicates_are_counted(ledger);
        let dead = self.with_status(status::DEAD).count();
        assert_eq!(dead, ledger.count("dead"), "dead letters");
        let sent: BTreeSet<Event> = ["stored", "duplicate"]
            .into_iter()
            .flat_map(|expectation| ledger.events(expectation))
            .collect();
        for row in self.rows.iter().filter(|row| row.event_type != "unknown") {
            assert!(
                sent.contains(&event_of(row)),
                "nobody sent, or it was refused: {row:?}"
            );
        }
        self.streams_say_the_same();
    }

    fn stored_is_what_was_sent(&self, ledger: &Ledger) {
        let mut firsts: BTreeMap<Event, u32> = BTreeMap::new();
        for row in self.with_status(status::STORED) {
            assert!(!row.is_duplicate && row.processed, "{row:?}");
            assert_eq!(row.processing_attempts, 1, "{row:?}");
            *firsts.entry(event_of(row)).or_default() += 1;
        }
        let twice: Vec<_> = firsts.iter().filter(|(_, count)| **count != 1).collect();
        assert!(twice.is_empty(), "stored more than once: {twice:?}");
        // What is unknown is told by a digest, which the simulator does not know: it is counted.
        let stored: BTreeSet<Event> = firsts
            .into_keys()
            .filter(|event| event.1 != "unknown")
            .collect();
        same_sets("stored", &stored, &ledger.events("stored"));
        same_counts(
            "stored",
            &self.counts(status::STORED),
            &ledger.counts("stored"),
        );
    }

    fn duplicates_are_counted(&self, ledger: &Ledger) {
        let duplicates = self.with_status(status::DUPLICATE).count();
        let told = ledger.count("duplicate");
        if ledger.retried() == 0 {
            assert_eq!(duplicates, told, "duplicates");
            same_counts(
                "duplicates",
                &self.counts(status::DUPLICATE),
                &ledger.counts("duplicate"),
            );
        } else {
            assert!(
                duplicates >= told,
                "{duplicates} duplicates, {told} were told"
            );
        }
        for row in self.with_status(status::DUPLICATE) {
            assert!(row.is_duplicate && row.duplicate_of.is_some(), "{row:?}");
        }
    }

    /// Rows, messages and typed rows tell the same story.
    fn streams_say_the_same(&self) {
        let receipts: BTreeSet<String> = self.rows.iter().map(|row| row.id.to_string()).collect();
        let sent: BTreeSet<String> = self
            .events
            .iter()
            .map(|message| message.header("Nats-Msg-Id").to_owned())
            .collect();
        same_sets("messages of receipts", &sent, &receipts);
        for message in &self.events {
            let (account, event_type, _) = event_told(message);
            let subject = format!("instagram.events.{event_type}.{account}");
            assert_eq!(message.subject, subject);
        }

        let stored: BTreeSet<Event> = self.with_status(status::STORED).map(event_of).collect();
        let told: Vec<Event> = self.stored.iter().map(event_told).collect();
        let distinct: BTreeSet<Event> = told.iter().cloned().collect();
        same_sets("told as stored", &distinct, &stored);
        assert_eq!(told.len(), distinct.len(), "told as stored more than once");

        let dead: BTreeSet<Event> = self.with_status(status::DEAD).map(event_of).collect();
        let letters: BTreeSet<Event> = self.dead_letters.iter().map(event_told).collect();
        same_sets("dead letters", &letters, &dead);

        let rows: BTreeSet<_> = self.stored.iter().flat_map(rows_told).collect();
        same_sets("typed rows", &self.typed, &rows);
        for message in &self.stored {
            let is_kept = message.text("event_type") != "unknown";
            assert!(
                !is_kept || rows_told(message).count() > 0,
                "an event without a typed row: {message:?}"
            );
        }
    }
}

fn event_of(row: &webhook_event::Model) -> Event {
    (
        row.ig_account_id.clone(),
        row.event_type.clone(),
        row.event_id.clone(),
    )
}

fn event_told(message: &Found) -> Event {
    let of = |field| message.text(field).to_owned();
    assert_eq!(message.header("ce-id"), message.text("event_id"));
    (of("ig_account_id"), of("event_type"), of("event_id"))
}

fn rows_told(message: &Found) -> impl Iterator<Item = (String, String, Uuid)> {
    let account = message.text("account_id").parse().expect("an account");
    let rows = message.body["rows"].as_array().expect("rows");
    rows.iter().map(move |row| {
        let of = |field: &str| row[field].as_str().unwrap_or_default().to_owned();
        (of("table"), of("id"), account)
    })
}

async fn typed_rows(database: &DatabaseConnection) -> BTreeSet<(String, String, Uuid)> {
    let mut rows = BTreeSet::new();
    for (table, has_uuids) in TYPED {
        let sql = format!("SELECT id, account_id FROM {table}");
        let statement = Statement::from_string(database.get_database_backend(), sql);
        for row in database
            .query_all_raw(statement)
            .await
            .expect("a typed table")
        {
            let id = if has_uuids {
                row.try_get::<Uuid>("", "id").map(|id| id.to_string())
            } else {
                row.try_get("", "id")
            };
            let account = row.try_get("", "account_id").expect("an account");
            rows.insert((table.to_owned(), id.expect("an id"), account));
        }
    }
    rows
}

fn counted<T: Ord>(all: impl Iterator<Item = T>) -> BTreeMap<T, usize> {
    let mut counts = BTreeMap::new();
    for one in all {
        *counts.entry(one).or_default() += 1;
    }
    counts
}

fn same_counts<T: Ord + Copy + std::fmt::Debug>(
    what: &str,
    found: &BTreeMap<T, usize>,
    wanted: &BTreeMap<T, usize>,
) {
    let pairs =
        |counts: &BTreeMap<T, usize>| counts.iter().map(|(of, count)| (*of, *count)).collect();
    same_sets(what, &pairs(found), &pairs(wanted));
}

/// Shows what differs, not two sets of thousands.
fn same_sets<T: Ord + std::fmt::Debug>(what: &str, found: &BTreeSet<T>, wanted: &BTreeSet<T>) {
    let missing: Vec<_> = wanted.difference(found).take(5).collect();
    let surplus: Vec<_> = found.difference(wanted).take(5).collect();
    assert!(
        missing.is_empty() && surplus.is_empty(),
        "{what}: {} found, {} wanted; missing {missing:#?}, surplus {surplus:#?}",
        found.len(),
        wanted.len()
    );
}
