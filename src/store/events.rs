//! The generic log, for who looks at it: an account's events, the newest first, page by page.
//!
//! No page costs more than a bounded look. An index gives the rows in their order, so many at a time (a window);
//! what of a window does not match is passed over, and the next one is taken until the page is full or the time is
//! up: then the page is short, and says where to go on. So it does not matter how rare a match is, and no planner
//! has to guess it. Which index: what is dead lies in the one of what is unprocessed; a sender has one; an id is looked
//! up (`sought`); a type and duplicates have the account's own; all else goes along the account's.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use entity::timestamp::sqlite_text;
use entity::webhook_event::status::DEAD;
use sea_orm::{
    ConnectionTrait as _, DbBackend, DbErr, FromQueryResult, QueryResult, Statement, Value,
};
use uuid::Uuid;

use super::dialect::Dialect;
use super::generic::TABLE;
use super::{Store, StoreError};
use crate::instagram::identity::event_ids_with;
use crate::instagram::types::{self, MENTIONS};

/// The first window, in rows; the next ones are as large as it takes, by what was found.
const FIRST_WINDOW: u64 = 1_024;
const LARGEST_WINDOW: u64 = 32_768;
/// When no other window is begun.
const LOOKS_FOR: Duration = Duration::from_millis(500);
/// So many events are found by one id at most: an id that more have is none that is looked for.
const SOUGHT: usize = 10_000;

/// The columns of [`Listed`].
const COLUMNS: [&str; 22] = [
    "id",
    "event_type",
    "event_id",
    "ig_account_id",
    "origin",
    "object_type",
    "object_id",
    "sender_ig_id",
    "sender_username",
    "status",
    "processed",
    "processed_at",
    "processing_attempts",
    "deaths",
    "last_processing_error",
    "is_duplicate",
    "duplicate_of",
    "delivery_id",
    "occurred_at",
    "received_at",
    "created_at",
    "updated_at",
];

/// Which events are meant; all that is given has to be so.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// This type.
    pub event_type: Option<String>,
    /// Whether nothing is left to do.
    pub processed: Option<bool>,
    /// Whether it failed for good.
    pub failed: Option<bool>,
    /// Whether Instagram had told it before.
    pub duplicate: Option<bool>,
    /// This sender.
    pub sender: Option<String>,
    /// Written then or later.
    pub from: Option<DateTime<Utc>>,
    /// Written then or earlier.
    pub to: Option<DateTime<Utc>>,
    /// About this object, or with this event id.
    pub id: Option<String>,
}

/// Whose events.
#[derive(Debug, Clone, Copy)]
pub struct Whose<'a> {
    /// `client_accounts.id`
    pub id: Uuid,
    /// `client_accounts.instagram_business_account_id`
    pub ig_account_id: &'a str,
}

/// A place in the list: before it lies what was written later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// When the row was written, to the microsecond.
    pub created_at: DateTime<Utc>,
    /// The receipt.
    pub id: Uuid,
}

/// An event of the log, without its payload.
#[derive(Debug, Clone, FromQueryResult)]
pub struct Listed {
    /// The receipt.
    pub id: Uuid,
    /// One of the nine types or `unknown`.
    pub event_type: String,
    /// What happened.
    pub event_id: String,
    /// The account as received.
    pub ig_account_id: String,
    /// Where in the entry it came.
    pub origin: Option<String>,
    /// What it is about.
    pub object_type: Option<String>,
    /// The id of that.
    pub object_id: Option<String>,
    /// Who caused it.
    pub sender_ig_id: Option<String>,
    /// Their name.
    pub sender_username: Option<String>,
    /// What became of it.
    pub status: String,
    /// Whether nothing is left to do.
    pub processed: bool,
    /// Since when.
    pub processed_at: Option<DateTime<Utc>>,
    /// How often storing it was tried.
    pub processing_attempts: i32,
    /// How often it died.
    pub deaths: i32,
    /// What the last failed attempt said.
    pub last_processing_error: Option<String>,
    /// Whether Instagram had told it before.
    pub is_duplicate: bool,
    /// The first row of it.
    pub duplicate_of: Option<Uuid>,
    /// The delivery it came in.
    pub delivery_id: Uuid,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
    /// When its delivery arrived.
    pub received_at: DateTime<Utc>,
    /// When the row was written.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

impl Listed {
    /// Where it lies in the list.
    #[must_use]
    pub fn place(&self) -> Place {
        Place {
            created_at: self.created_at,
            id: self.id,
        }
    }
}

/// A part of the list.
#[derive(Debug, Clone)]
pub struct Found {
    /// The events, the newest first.
    pub events: Vec<Listed>,
    /// Behind which place the rest is to be looked for; `None` at the end.
    pub next: Option<Place>,
}

impl Store {
    /// Up to `limit` events of an account that are wanted, the newest first and behind `behind`. They are fewer
    /// where it would take long to find as many.
    pub async fn events(
        &self,
        whose: Whose<'_>,
        wanted: &Wanted,
        behind: Option<Place>,
        limit: usize,
    ) -> Result<Found, StoreError> {
        let sought = match &wanted.id {
            Some(id) => Some(self.sought(whose, id).await?),
            None => None,
        };
        let (began, mut window) = (Instant::now(), first_window(wanted, limit));
        let (mut events, mut next) = (Vec::new(), behind);
        loop {
            let look = Look::new(self.backend(), whose, wanted, sought.as_deref(), next);
            let seen = self.look(look, window, limit - events.len()).await?;
            let is_whole = seen.first().is_some_and(|first| first.scanned == window);
            next = seen
                .last()
                .filter(|_| is_whole)
                .map(|last| last.event.place());
            let before = events.len();
            let matching = seen.into_iter().filter(|seen| seen.matches);
            events.extend(matching.map(|seen| seen.event));
            let matched = events.len() - before;
            if events.len() > limit {
                events.truncate(limit);
                next = events.last().map(Listed::place);
                return Ok(Found { events, next });
            }
            if next.is_none() || began.elapsed() >= LOOKS_FOR {
                return Ok(Found { events, next });
            }
            window = next_window(window, matched, limit + 1 - events.len());
        }
    }

    /// The first `limit` and one more that match of a window, and the last one of it, whether it matches or not.
    async fn look(&self, look: Look, window: u64, limit: usize) -> Result<Vec<Seen>, DbErr> {
        let Look {
            source,
            matches,
            values,
            ..
        } = look;
        let (source, matches) = (source.join(" AND "), matches.join(" AND "));
        let columns: Vec<String> = COLUMNS
            .iter()
            .map(|column| format!("t.\"{column}\""))
            .collect();
        let sql = format!(
            "WITH w AS (SELECT \"id\", \"created_at\", COALESCE({matches}, FALSE) AS matches \
             FROM \"{TABLE}\" WHERE {source} ORDER BY \"created_at\" DESC, \"id\" DESC LIMIT {window}) \
             SELECT {columns}, p.matches AS matches, (SELECT COUNT(*) FROM w) AS scanned \
             FROM (SELECT \"id\", matches FROM w WHERE matches \
             OR \"id\" = (SELECT \"id\" FROM w ORDER BY \"created_at\", \"id\" LIMIT 1) \
             ORDER BY \"created_at\" DESC, \"id\" DESC LIMIT {most}) AS p \
             JOIN \"{TABLE}\" AS t ON t.\"id\" = p.\"id\" ORDER BY t.\"created_at\" DESC, t.\"id\" DESC",
            columns = columns.join(", "),
            most = limit + 2,
        );
        let statement = Statement::from_sql_and_values(self.backend(), sql, values);
        let rows = self.database.query_all_raw(statement).await?;
        rows.iter().map(Seen::read).collect()
    }

    /// The receipts of the events that are about an object, or have this event id. An event id begins with its
    /// object's, so those are neighbours in the index that keeps first tellings apart; a mention's begins with
    /// its post's. Duplicates are found by their first telling.
    async fn sought(&self, whose: Whose<'_>, id: &str) -> Result<Vec<Uuid>, DbErr> {
        let dialect = Dialect::of(self.backend());
        let mut values = Values::default();
        let account = values.add(whose.ig_account_id);
        let account_id = values.add(whose.id);
        let wanted = values.add(id);
        let mut firsts = Vec::new();
        for event_type in types::with_unknown() {
            let of_type = format!(
                "SELECT \"id\" FROM \"{TABLE}\" WHERE \"ig_account_id\" = {account} \
                 AND \"event_type\" = '{}' AND NOT \"is_duplicate\"",
                event_type.name
            );
            let ids = event_ids_with(event_type.name, id);
            let (from, to) = (values.add(ids.start), values.add(ids.end));
            firsts.push(format!(
                "{of_type} AND \"event_id\" >= {from} AND \"event_id\" < {to} AND \"object_id\" = {wanted}"
            ));
            if id.starts_with(event_type.name) {
                firsts.push(format!("{of_type} AND \"event_id\" = {wanted}"));
            }
            if event_type.tables.iter().any(|table| table.name == MENTIONS) {
                firsts.push(format!(
                    "{of_type} AND \"event_id\" {}",
                    dialect.one_of(&format!(
                        "SELECT \"id\" FROM \"{MENTIONS}\" WHERE \"account_id\" = {account_id} \
                         AND \"comment_id\" = {wanted}"
                    ))
                ));
            }
        }
        let sql = format!(
            "WITH firsts AS ({firsts}) SELECT \"id\" FROM firsts UNION \
             SELECT \"id\" FROM \"{TABLE}\" WHERE \"duplicate_of\" {again} LIMIT {SOUGHT}",
            firsts = firsts.join(" UNION "),
            again = dialect.one_of("SELECT \"id\" FROM firsts"),
        );
        let statement = Statement::from_sql_and_values(self.backend(), sql, values.0);
        let rows = self.database.query_all_raw(statement).await?;
        rows.iter().map(|row| row.try_get("", "id")).collect()
    }
}

/// Where everything matches, no more than the page.
fn first_window(wanted: &Wanted, limit: usize) -> u64 {
    let Wanted {
        processed,
        failed,
        duplicate,
        ..
    } = wanted;
    let all_match = [processed, failed, duplicate]
        .iter()
        .all(|flag| flag.is_none());
    if all_match {
        limit as u64 + 1
    } else {
        FIRST_WINDOW
    }
}

/// Half as many again as it takes to find those that are missing, if they are as rare as in the last window.
fn next_window(last: u64, matched: usize, missing: usize) -> u64 {
    let wanted = match matched as u64 {
        0 => last * 4,
        matched => last * missing as u64 / matched * 3 / 2,
    };
    // A power of two: few statements, which the connections keep prepared.
    wanted
        .next_power_of_two()
        .clamp(FIRST_WINDOW / 2, LARGEST_WINDOW)
}

/// A row of a window.
struct Seen {
    event: Listed,
    matches: bool,
    /// How many rows the window has.
    scanned: u64,
}

impl Seen {
    fn read(row: &QueryResult) -> Result<Self, DbErr> {
        let scanned: i64 = row.try_get("", "scanned")?;
        Ok(Self {
            event: Listed::from_query_result(row, "")?,
            matches: row.try_get("", "matches")?,
            scanned: u64::try_from(scanned).unwrap_or(0),
        })
    }
}

/// What a statement is given, each with its placeholder.
#[derive(Default)]
struct Values(Vec<Value>);

impl Values {
    fn add(&mut self, value: impl Into<Value>) -> String {
        self.0.push(value.into());
        format!("${}", self.0.len())
    }
}

/// A look into the log: the rows that an index gives, and which of them match.
struct Look {
    backend: DbBackend,
    source: Vec<String>,
    matches: Vec<String>,
    values: Vec<Value>,
}

impl Look {
    fn new(
        backend: DbBackend,
        whose: Whose<'_>,
        wanted: &Wanted,
        sought: Option<&[Uuid]>,
        behind: Option<Place>,
    ) -> Self {
        let mut look = Self {
            backend,
            source: Vec::new(),
            matches: vec!["TRUE".to_owned()],
            values: Vec::new(),
        };
        look.begin(whose, wanted, sought);
        look.bound(wanted, behind);
        look.compare(wanted);
        look
    }

    fn value(&mut self, value: impl Into<Value>) -> String {
        self.values.push(value.into());
        format!("${}", self.values.len())
    }

    /// Times are texts in `SQLite`.
    fn time(&mut self, time: DateTime<Utc>) -> String {
        match self.backend {
            DbBackend::Sqlite => self.value(sqlite_text(time)),
            _ => self.value(time),
        }
    }

    /// By the index that gives the fewest rows.
    fn begin(&mut self, whose: Whose<'_>, wanted: &Wanted, sought: Option<&[Uuid]>) {
        let account = format!("\"instagram_account_id\" = {}", self.value(whose.id));
        if let Some(sought) = sought {
            let list = self.value(serde_json::json!(sought).to_string());
            let among = Dialect::of(self.backend).among(&list);
            self.source.push(format!("\"id\" {among}"));
        } else if wanted.failed == Some(true) {
            // Without the account: else a planner may hope to find some along that one's index.
            self.source
                .push(format!("\"status\" = '{DEAD}' AND NOT \"processed\""));
            self.matches.push(account);
            return;
        }
        self.source.push(account);
        if let Some(sender) = &wanted.sender {
            let sender = self.value(sender.as_str());
            self.source.push(format!("\"sender_ig_id\" = {sender}"));
        }
        if wanted.processed == Some(false) {
            self.source.push("NOT \"processed\"".to_owned());
        } else if wanted.duplicate == Some(true) {
            self.source.push("\"is_duplicate\"".to_owned());
        } else if let Some(event_type) = &wanted.event_type {
            let event_type = self.value(event_type.as_str());
            self.source.push(format!("\"event_type\" = {event_type}"));
        }
    }

    fn bound(&mut self, wanted: &Wanted, behind: Option<Place>) {
        if let Some(from) = wanted.from {
            let from = self.time(from);
            self.source.push(format!("\"created_at\" >= {from}"));
        }
        if let Some(to) = wanted.to {
            let to = self.time(to);
            self.source.push(format!("\"created_at\" <= {to}"));
        }
        if let Some(Place { created_at, id }) = behind {
            let (time, id) = (self.time(created_at), self.value(id));
            self.source.push(format!(
                "\"created_at\" <= {time} AND (\"created_at\" < {time} OR \"id\" < {id})"
            ));
        }
    }

    fn compare(&mut self, wanted: &Wanted) {
        if let Some(event_type) = &wanted.event_type {
            let event_type = self.value(event_type.as_str());
            self.matches.push(format!("\"event_type\" = {event_type}"));
        }
        if let Some(sender) = &wanted.sender {
            let sender = self.value(sender.as_str());
            self.matches.push(format!("\"sender_ig_id\" = {sender}"));
        }
        let flags = [
            (wanted.processed, "\"processed\"".to_owned()),
            (wanted.failed, format!("(\"status\" = '{DEAD}')")),
            (wanted.duplicate, "\"is_duplicate\"".to_owned()),
        ];
        for (wanted, is_so) in flags {
            match wanted {
                Some(true) => self.matches.push(is_so),
                Some(false) => self.matches.push(format!("NOT {is_so}")),
                None => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_window_is_as_large_as_it_takes() {
        assert_eq!(next_window(2_000, 40, 11), 1_024);
        assert_eq!(next_window(2_000, 400, 1), 512);
        assert_eq!(next_window(2_000, 20, 31), 8_192);
        assert_eq!(next_window(2_000, 0, 51), 8_192);
        assert_eq!(next_window(32_768, 1, 50), LARGEST_WINDOW);
    }
}
