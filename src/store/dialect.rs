//! What the two databases say differently.
//!
//! Every bulk statement takes its rows as its parameters (see [`super::parameters`]):
//! one constant statement whatever the size of the batch, and no limit of
//! parameters.

use entity::columns::{Column, Kind};
use sea_orm::DbBackend;

use super::statistics::Bucket;
use crate::instagram::time::FIRST_MILLISECOND;

/// The end of the year 9999, the last that `SQLite` knows.
const LAST_MILLISECOND: u64 = 253_402_300_799_999;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Postgres,
    Sqlite,
}

impl Dialect {
    pub(super) fn of(backend: DbBackend) -> Self {
        match backend {
            DbBackend::Sqlite => Self::Sqlite,
            _ => Self::Postgres,
        }
    }

    /// A query that yields the rows of the parameters, which have these columns.
    pub(super) fn rows(self, columns: &[Column]) -> String {
        let list = |each: &dyn Fn((usize, &Column)) -> String| {
            let all: Vec<String> = columns.iter().enumerate().map(each).collect();
            all.join(", ")
        };
        match self {
            Self::Postgres => format!(
                "SELECT {values} FROM unnest({arrays}) AS r({names})",
                values = list(&|(_, column)| postgres_value(column)),
                arrays = list(&|(nth, column)| {
                    format!("CAST(${} AS {}[])", nth + 1, postgres_type(column.kind))
                }),
                names = list(&|(_, column)| quoted(column.name)),
            ),
            Self::Sqlite => format!(
                "SELECT {} FROM json_each($1) AS r",
                list(&|(_, column)| format!("{} AS {}", sqlite_value(column), quoted(column.name)))
            ),
        }
    }

    /// Ends a query that locks the rows of `table` in its order. `SQLite` has one
    /// writer: nobody else is there.
    pub(super) fn lock(self, strength: &str, table: &str) -> String {
        match self {
            Self::Postgres => format!(" FOR {strength} OF {table}"),
            Self::Sqlite => String::new(),
        }
    }

    /// The same, and passes over what somebody else has locked.
    pub(super) fn lock_what_is_free(self, strength: &str, table: &str) -> String {
        match self {
            Self::Postgres => format!("{} SKIP LOCKED", self.lock(strength, table)),
            Self::Sqlite => String::new(),
        }
    }

    /// The ids of the rows `f` of `table` that are `there` for each `r` of `rows`,
    /// looked up one by one: in a plain join by ranges, `PostgreSQL` may take it
    /// for cheaper to read the whole table.
    pub(super) fn ids_for_each(self, rows: &str, table: &str, there: &str) -> String {
        match self {
            Self::Postgres => format!(
                "SELECT e.\"id\" FROM ({rows}) AS r CROSS JOIN LATERAL (\
                 SELECT f.\"id\" FROM \"{table}\" AS f WHERE {there} OFFSET 0) AS e"
            ),
            Self::Sqlite => format!(
                "SELECT f.\"id\" FROM ({rows}) AS r CROSS JOIN \"{table}\" AS f WHERE {there}"
            ),
        }
    }

    /// Says that a column is one of the values of `query`. As an array: in a plain `IN`
    /// `PostgreSQL` may take it for cheaper to read the whole table.
    pub(super) fn one_of(self, query: &str) -> String {
        match self {
            Self::Postgres => format!("= ANY(ARRAY({query}))"),
            Self::Sqlite => format!("IN ({query})"),
        }
    }

    /// Says that a column is one of the UUIDs in a JSON array.
    pub(super) fn among(self, list: &str) -> String {
        match self {
            Self::Postgres => self.one_of(&format!(
                "SELECT CAST(e AS uuid) FROM jsonb_array_elements_text(CAST({list} AS jsonb)) AS e"
            )),
            Self::Sqlite => self.one_of(&format!(
                "SELECT unhex(replace(value, '-', '')) FROM json_each({list})"
            )),
        }
    }

    /// Where a row lies in its table.
    pub(super) fn place(self) -> &'static str {
        match self {
            Self::Postgres => "ctid",
            Self::Sqlite => "rowid",
        }
    }

    /// Says that a text is compared byte by byte, as columns of ids are.
    pub(super) fn bytewise(self) -> &'static str {
        match self {
            Self::Postgres => " COLLATE \"C\"",
            Self::Sqlite => "",
        }
    }

    pub(super) fn now(self) -> &'static str {
        match self {
            Self::Postgres => "now()",
            Self::Sqlite => "strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')",
        }
    }

    /// Says that two times are the same (`SQLite`: to the millisecond, however they are written).
    pub(super) fn same_time(self, one: &str, other: &str) -> String {
        match self {
            Self::Postgres => format!("{one} = {other}"),
            Self::Sqlite => {
                format!("unixepoch({one}, 'subsec') = unixepoch({other}, 'subsec')")
            }
        }
    }

    /// From one time to another, in seconds (a float; `SQLite`: to the millisecond).
    pub(super) fn seconds_between(self, from: &str, to: &str) -> String {
        match self {
            Self::Postgres => {
                format!("CAST(EXTRACT(EPOCH FROM {to} - {from}) AS double precision)")
            }
            Self::Sqlite => {
                format!("ROUND(unixepoch({to}, 'subsec') - unixepoch({from}, 'subsec'), 3)")
            }
        }
    }

    /// When the hour or the day (UTC) of a time begins.
    pub(super) fn step(self, time: &str, bucket: Bucket) -> String {
        match (self, bucket) {
            (Self::Postgres, Bucket::Hour) => format!("date_trunc('hour', {time}, 'UTC')"),
            (Self::Postgres, Bucket::Day) => format!("date_trunc('day', {time}, 'UTC')"),
            (Self::Sqlite, Bucket::Hour) => {
                format!("strftime('%Y-%m-%dT%H:00:00.000000Z', {time})")
            }
            (Self::Sqlite, Bucket::Day) => format!("strftime('%Y-%m-%dT00:00:00.000000Z', {time})"),
        }
    }

    /// Of the column `sample` of `samples`, for each value of `by`: how many there are, the median and the 99th
    /// percentile, each of which is one of them.
    pub(super) fn percentiles(self, samples: &str, by: Option<&str>) -> String {
        let (partition, column, group) = match by {
            Some(by) => (
                format!("PARTITION BY {by}"),
                format!("{by}, "),
                format!(" GROUP BY {by}"),
            ),
            None => (String::new(), String::new(), String::new()),
        };
        match self {
            Self::Postgres => format!(
                "SELECT {column}COUNT(sample) AS samples, \
                 percentile_disc(0.5) WITHIN GROUP (ORDER BY sample) AS median, \
                 percentile_disc(0.99) WITHIN GROUP (ORDER BY sample) AS p99 FROM ({samples}) AS s{group}"
            ),
            Self::Sqlite => format!(
                "SELECT {column}COUNT(*) AS samples, MAX(CASE WHEN nth = (n + 1) / 2 THEN sample END) AS median, \
                 MAX(CASE WHEN nth = (n * 99 + 99) / 100 THEN sample END) AS p99 \
                 FROM (SELECT s.*, ROW_NUMBER() OVER ({partition} ORDER BY sample) AS nth, \
                 COUNT(*) OVER ({partition}) AS n FROM ({samples}) AS s WHERE sample IS NOT NULL) AS numbered{group}"
            ),
        }
    }

    /// The time that `column` holds as a text of digits, in seconds or
    /// milliseconds by the rule of [`crate::instagram::time::read`]; NULL for any
    /// other text.
    pub(super) fn time_of_digits(self, column: &str) -> String {
        let (is_number, number) = match self {
            Self::Postgres => (
                format!("{column} ~ '^[0-9]{{1,15}}$'"),
                format!("CAST({column} AS bigint)"),
            ),
            Self::Sqlite => (
                format!(
                    "{column} <> '' AND {column} NOT GLOB '*[^0-9]*' AND length({column}) <= 15"
                ),
                format!("CAST({column} AS INTEGER)"),
            ),
        };
        let time = |seconds: &str| match self {
            Self::Postgres => format!("to_timestamp({seconds})"),
            Self::Sqlite => {
                format!("strftime('%Y-%m-%dT%H:%M:%f000Z', {seconds}, 'unixepoch')")
            }
        };
        format!(
            "CASE WHEN {is_number} THEN CASE WHEN {number} < {FIRST_MILLISECOND} THEN {seconds} \
             WHEN {number} <= {LAST_MILLISECOND} THEN {milliseconds} END END",
            seconds = time(&number),
            milliseconds = time(&format!("{number} / 1000.0")),
        )
    }
}

pub(super) fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}

/// A document comes as its text.
fn postgres_value(column: &Column) -> String {
    let name = quoted(column.name);
    match column.kind {
        Kind::Json => format!("CAST(r.{name} AS jsonb) AS {name}"),
        _ => format!("r.{name}"),
    }
}

/// What an element of a parameter is.
fn postgres_type(kind: Kind) -> &'static str {
    match kind {
        Kind::Uuid => "uuid",
        Kind::Text(_) | Kind::Json => "text",
        Kind::Timestamp => "timestamptz",
        Kind::Integer => "bigint",
        Kind::Boolean => "boolean",
    }
}

/// A UUID is a blob in `SQLite`, as `SeaORM` does it; a document stays JSON, also
/// when it is a bare text.
fn sqlite_value(column: &Column) -> String {
    let path = format!("'$.\"{}\"'", column.name);
    match column.kind {
        Kind::Uuid => format!("unhex(replace(json_extract(r.value, {path}), '-', ''))"),
        Kind::Json => format!("(r.value -> {path})"),
        _ => format!("json_extract(r.value, {path})"),
    }
}
