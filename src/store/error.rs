//! Whose error it is: the world's, which passes, or the event's own.

use std::borrow::Cow;
use std::time::Duration;

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
    /// Connection, timeout, disk, deadlock, schema: it passes, or an operator
    /// makes it pass. No event is to blame.
    World,
    /// A value or a constraint: it would be the same again.
    Event,
}

impl StoreError {
    /// Whose error it is.
    #[must_use]
    pub fn blame(&self) -> Blame {
        match self {
            Self::TooLate(_) | Self::Busy(_) | Self::Directory { .. } => Blame::World,
            Self::Unwritable(_) => Blame::Event,
            Self::Database(error) => blame(error),
        }
    }
}

fn blame(error: &DbErr) -> Blame {
    code(error).map_or(Blame::World, |code| {
        if code.len() == 5 {
            blame_sqlstate(&code)
        } else {
            blame_sqlite(&code)
        }
    })
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
/// constraints; a foreign key that fails means that we knew an account which is
/// gone meanwhile: it is looked up again. 54000 is a document beyond what the
/// server can take.
fn blame_sqlstate(code: &str) -> Blame {
    const FOREIGN_KEY: &str = "23503";
    match code {
        FOREIGN_KEY => Blame::World,
        _ if ["22", "23", "54"]
            .iter()
            .any(|class| code.starts_with(class)) =>
        {
            Blame::Event
        }
        _ => Blame::World,
    }
}

/// Source: `SQLite`, "Result and Error Codes"; the low byte is the primary code:
/// 18 TOOBIG, 19 CONSTRAINT (787 of a foreign key), 20 MISMATCH.
fn blame_sqlite(code: &str) -> Blame {
    const FOREIGN_KEY: u32 = 787;
    match code.parse::<u32>() {
        Ok(FOREIGN_KEY) | Err(_) => Blame::World,
        Ok(code) if matches!(code & 0xff, 18..=20) => Blame::Event,
        Ok(_) => Blame::World,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_the_world_from_the_event() {
        for (code, expected) in [
            ("40P01", Blame::World),
            ("53100", Blame::World),
            ("57P01", Blame::World),
            ("42P01", Blame::World),
            ("25006", Blame::World),
            ("23503", Blame::World),
            ("23514", Blame::Event),
            ("22P05", Blame::Event),
        ] {
            assert_eq!(blame_sqlstate(code), expected, "{code}");
        }
        for (code, expected) in [
            ("5", Blame::World),
            ("13", Blame::World),
            ("1", Blame::World),
            ("787", Blame::World),
            ("275", Blame::Event),
        ] {
            assert_eq!(blame_sqlite(code), expected, "{code}");
        }
        assert_eq!(
            StoreError::from(DbErr::ConnectionAcquire(sea_orm::ConnAcquireErr::Timeout)).blame(),
            Blame::World
        );
    }
}
