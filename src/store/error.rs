//! Whose error it is: the world's, which passes, or the event's own. The table of
//! them is in `docs/operation.md`.

use std::borrow::Cow;
use std::time::Duration;

use sea_orm::sqlx;
use sea_orm::{DbErr, RuntimeErr};

/// Why a batch was not stored.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database said no.
    #[error("the database refused: {0}")]
    Database(#[from] DbErr),
    /// The database took the work and does not answer, as behind a network that
    /// drops what is sent.
    #[error(
        "the database did not answer within {0:?}: look whether it hangs, or the network to it"
    )]
    TooLate(Duration),
    /// Transactions that store events do not end.
    #[error(
        "nothing was erased: a transaction on the database has been open for more than {0:?}; try again when it has ended"
    )]
    Busy(Duration),
    /// The directory of the database's file cannot be made.
    #[error("the directory {directory:?} of `database.url` cannot be made: {reason}")]
    Directory {
        /// The directory.
        directory: std::path::PathBuf,
        /// What the system says.
        reason: std::io::Error,
    },
    /// An event cannot be written as JSON.
    #[error("the event cannot be written: {0}")]
    Unwritable(#[from] serde_json::Error),
}

/// Who has to act on an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// Connection, disk, lock, deadlock, schema: it passes, or an operator makes it
    /// pass. No event is to blame.
    World,
    /// A value or a constraint: it would be the same again.
    Event,
    /// It looks like the world's. If it stays while the database is well otherwise
    /// ([`super::Store::probe`]), an event is to blame.
    Unclear,
}

impl StoreError {
    /// Whose error it is.
    #[must_use]
    pub fn blame(&self) -> Blame {
        match self {
            Self::Busy(_) | Self::Directory { .. } => Blame::World,
            Self::TooLate(_) => Blame::Unclear,
            Self::Unwritable(_) => Blame::Event,
            Self::Database(error) => blame(error),
        }
    }
}

fn blame(error: &DbErr) -> Blame {
    match (code(error), error) {
        (Some(code), _) => blame_code(&code),
        (None, DbErr::Conn(_) | DbErr::ConnectionAcquire(_)) => Blame::World,
        (
            None,
            DbErr::Exec(RuntimeErr::SqlxError(inner)) | DbErr::Query(RuntimeErr::SqlxError(inner)),
        ) => blame_sqlx(inner),
        (None, _) => Blame::Unclear,
    }
}

/// Without a code of the database's. A connection that breaks may be the work of an event that ends
/// the server.
fn blame_sqlx(error: &sqlx::Error) -> Blame {
    match error {
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => Blame::World,
        _ => Blame::Unclear,
    }
}

/// A SQLSTATE has five characters, a code of `SQLite` fewer: the longest, of five
/// digits, is none that a statement gives.
fn blame_code(code: &str) -> Blame {
    if code.len() == 5 {
        blame_sqlstate(code)
    } else {
        blame_sqlite(code)
    }
}

/// The database's own code of an error.
pub(super) fn code(error: &DbErr) -> Option<String> {
    let (DbErr::Exec(RuntimeErr::SqlxError(inner)) | DbErr::Query(RuntimeErr::SqlxError(inner))) =
        error
    else {
        return None;
    };
    inner
        .as_database_error()
        .and_then(|error| error.code().map(Cow::into_owned))
}

/// Source: `PostgreSQL`, "Appendix A. Error Codes". Class 22 is data, class 23
/// constraints, class 54 a document beyond what the server can take. A foreign key
/// that fails mostly means that we knew an account which is gone meanwhile: it is
/// looked up again.
fn blame_sqlstate(code: &str) -> Blame {
    const FOREIGN_KEY: &str = "23503";
    match &code[..2] {
        _ if code == FOREIGN_KEY => Blame::Unclear,
        "22" | "23" | "54" => Blame::Event,
        "08" | "25" | "28" | "3D" | "3F" | "40" | "42" | "53" | "55" | "57" | "58" => Blame::World,
        _ => Blame::Unclear,
    }
}

/// Source: `SQLite`, "Result and Error Codes"; the low byte is the primary code:
/// 18 TOOBIG, 19 CONSTRAINT (787 of a foreign key), 20 MISMATCH; 1 ERROR is a
/// missing table, and much else.
fn blame_sqlite(code: &str) -> Blame {
    const FOREIGN_KEY: u32 = 787;
    let Ok(code) = code.parse::<u32>() else {
        return Blame::Unclear;
    };
    match code & 0xff {
        _ if code == FOREIGN_KEY => Blame::Unclear,
        18..=20 => Blame::Event,
        3 | 5..=8 | 10 | 11 | 13..=15 | 17 | 23 | 26 => Blame::World,
        _ => Blame::Unclear,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// Every code that the operator's table names is judged as it says there.
    #[test]
    fn the_operators_table_is_true() {
        let document = include_str!("../../docs/operation.md");
        let (_, table) = document.split_once("## Whose error it is").unwrap();
        let (table, _) = table.split_once("\n## ").unwrap();
        let mut named = 0;
        for line in table.lines().filter(|line| line.starts_with("| ")) {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let expected = match cells[2] {
                "the world's" => Blame::World,
                "the event's" => Blame::Event,
                "unclear" => Blame::Unclear,
                _ => continue,
            };
            for code in cells[3].split('`').skip(1).step_by(2) {
                let code = code.replace('…', "000");
                assert_eq!(blame_code(&code), expected, "{code}: {line}");
                named += 1;
            }
        }
        assert!(named > 25, "{named}");
    }

    #[test]
    fn an_error_without_a_code_is_judged_by_its_kind() {
        let timeout = DbErr::ConnectionAcquire(sea_orm::ConnAcquireErr::Timeout);
        assert_eq!(StoreError::from(timeout).blame(), Blame::World);
        let broken = DbErr::Exec(RuntimeErr::SqlxError(
            sqlx::Error::Io(std::io::ErrorKind::BrokenPipe.into()).into(),
        ));
        assert_eq!(StoreError::from(broken).blame(), Blame::Unclear);
        let vanished = DbErr::RecordNotFound("a row".to_owned());
        assert_eq!(StoreError::from(vanished).blame(), Blame::Unclear);
        assert_eq!(
            StoreError::TooLate(Duration::from_mins(1)).blame(),
            Blame::Unclear
        );
    }
}
