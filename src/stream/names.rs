//! The names that the outside relies on: streams, subjects, headers.

use crate::instagram::identity::subject_token;

/// The journal.
pub const DELIVERIES: &str = "INSTAGRAM_DELIVERIES";
/// Every event as it came.
pub const EVENTS: &str = "INSTAGRAM_EVENTS";
/// Each event once, after its rows are committed.
pub const STORED: &str = "INSTAGRAM_STORED";
/// Events that failed for good.
pub const DEAD_LETTERS: &str = "INSTAGRAM_DEAD_LETTERS";
/// Events to be processed once more.
pub const REPROCESS: &str = "INSTAGRAM_REPROCESS";
/// Deliveries that may have ended the process, and how often each was tried.
pub const ATTEMPTS: &str = "INSTAGRAM_ATTEMPTS";

/// The subject of the journal.
pub const DELIVERIES_SUBJECT: &str = "instagram.deliveries";

/// The subject of what is known of a delivery's attempts.
#[must_use]
pub fn attempts_subject(delivery_id: uuid::Uuid) -> String {
    format!("instagram.attempts.{}", delivery_id.simple())
}

/// The header that recognises a message sent again: JetStream's own.
pub const MESSAGE_ID: &str = "Nats-Msg-Id";
/// The header that says where in its delivery an item stood (a JSON pointer).
pub const PLACE: &str = "igstream-place";
/// The header that says which replay sent an event to its handler.
pub const REPLAY: &str = "igstream-replay";

/// What a message says of its event, which decides its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Announcement {
    /// It came.
    Event,
    /// Its rows are committed.
    Stored,
    /// It failed for good.
    DeadLetter,
    /// It is to be processed once more.
    Reprocess,
}

impl Announcement {
    /// `instagram.{events|stored|dead_letters|reprocess}.{type}.{account}`.
    #[must_use]
    pub fn subject(self, event_type: &str, ig_account_id: &str) -> String {
        let word = self.word();
        format!(
            "instagram.{word}.{event_type}.{}",
            subject_token(ig_account_id)
        )
    }

    /// The subjects of one type or of all, of one account or of all.
    #[must_use]
    pub fn filter(self, event_type: Option<&str>, ig_account_id: Option<&str>) -> String {
        let word = self.word();
        let event_type = event_type.unwrap_or("*");
        let account = ig_account_id.map_or_else(|| "*".to_owned(), subject_token);
        format!("instagram.{word}.{event_type}.{account}")
    }

    fn word(self) -> &'static str {
        match self {
            Self::Event => "events",
            Self::Stored => "stored",
            Self::DeadLetter => "dead_letters",
            Self::Reprocess => "reprocess",
        }
    }

    /// `CloudEvents`' `type`.
    #[must_use]
    pub fn ce_type(self, event_type: &str) -> String {
        match self {
            Self::Event | Self::Reprocess => format!("com.instagram.{event_type}"),
            Self::Stored => format!("com.instagram.{event_type}.stored"),
            Self::DeadLetter => format!("com.instagram.{event_type}.dead_letter"),
        }
    }
}
