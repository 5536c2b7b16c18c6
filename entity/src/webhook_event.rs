//! `instagram_webhook_events`: the generic log, one row a received item.

use sea_orm::entity::prelude::*;
use serde::Serialize;

/// A row.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize)]
#[sea_orm(table_name = "instagram_webhook_events")]
pub struct Model {
    /// The receipt id (a time-ordered UUID, version 7).
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// One of the nine types or `unknown`.
    #[sea_orm(column_type = "String(StringLen::N(50))")]
    pub event_type: String,
    /// What happened: the same again when Instagram tells it again.
    #[sea_orm(column_type = "String(StringLen::N(512))")]
    pub event_id: String,
    /// The account, `client_accounts.id`; `NULL` while it is not known.
    pub instagram_account_id: Option<Uuid>,
    /// The account's id with Instagram, as received.
    #[sea_orm(column_type = "String(StringLen::N(255))")]
    pub ig_account_id: String,
    /// The place in the entry the item came from, one of [`origin`]; `NULL` for an entry without items.
    #[sea_orm(column_type = "String(StringLen::N(20))")]
    pub origin: Option<String>,
    /// What the event is about: `comment`, `message`, ….
    #[sea_orm(column_type = "String(StringLen::N(255))")]
    pub object_type: Option<String>,
    /// The id of what the event is about.
    #[sea_orm(column_type = "String(StringLen::N(255))")]
    pub object_id: Option<String>,
    /// Who caused it.
    #[sea_orm(column_type = "String(StringLen::N(255))")]
    pub sender_ig_id: Option<String>,
    /// The name of who caused it.
    #[sea_orm(column_type = "String(StringLen::N(255))")]
    pub sender_username: Option<String>,
    /// The item as received; `NULL` where it was blanked.
    #[sea_orm(column_type = "JsonBinary")]
    pub payload: Option<Json>,
    /// What became of it, one of [`status`].
    #[sea_orm(column_type = "String(StringLen::N(20))")]
    pub status: String,
    /// Whether nothing is left to do: stored, a duplicate, or an `unknown` that was kept.
    pub processed: bool,
    /// When that came to be, UTC.
    pub processed_at: Option<DateTimeUtc>,
    /// How often storing it was tried; outages do not count.
    pub processing_attempts: i32,
    /// How often it took its handler down with it.
    pub deaths: i32,
    /// What the last failed attempt said.
    #[sea_orm(column_type = "Text")]
    pub last_processing_error: Option<String>,
    /// Whether Instagram had told this event before.
    pub is_duplicate: bool,
    /// The first row of the same event, `instagram_webhook_events.id`.
    pub duplicate_of: Option<Uuid>,
    /// The sequence of its message in the stream of events; the later one where it has two.
    pub stream_sequence: Option<i64>,
    /// The delivery it came in.
    pub delivery_id: Uuid,
    /// When it happened, as Instagram says, UTC.
    pub occurred_at: DateTimeUtc,
    /// When its delivery arrived, UTC.
    pub received_at: DateTimeUtc,
    /// When the row was written, UTC.
    pub created_at: DateTimeUtc,
    /// When the row was last changed, UTC.
    pub updated_at: DateTimeUtc,
}

/// The tables this one points to.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    /// The account.
    #[sea_orm(
        belongs_to = "super::client_account::Entity",
        from = "Column::InstagramAccountId",
        to = "super::client_account::Column::Id",
        on_delete = "SetNull"
    )]
    Account,
}

impl Related<super::client_account::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Account.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}

/// The values of `status`.
pub mod status {
    /// Its rows are committed.
    pub const STORED: &str = "stored";
    /// Instagram had told it before.
    pub const DUPLICATE: &str = "duplicate";
    /// An attempt failed and another one will follow.
    pub const RETRYING: &str = "retrying";
    /// It failed for good.
    pub const DEAD: &str = "dead";
    /// Its account is not known (yet).
    pub const UNASSIGNED: &str = "unassigned";
    /// An operator gave it up.
    pub const DISCARDED: &str = "discarded";
}

/// The values of `origin`.
pub mod origin {
    /// `entry[].changes[]`
    pub const CHANGES: &str = "changes";
    /// `field` and `value` directly in the entry
    pub const FIELD: &str = "field";
    /// `entry[].messaging[]`
    pub const MESSAGING: &str = "messaging";
    /// `entry[].standby[]`: another app holds the thread
    pub const STANDBY: &str = "standby";
}
