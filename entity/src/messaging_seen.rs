//! `instagram_messaging_seen`: a read receipt: everything up to its message was read.

use sea_orm::entity::prelude::*;
use serde::Serialize;

/// A row.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize)]
#[sea_orm(table_name = "instagram_messaging_seen")]
pub struct Model {
    /// The row's own id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The last message that was read (`mid`), or the watermark that stands in for it.
    #[sea_orm(column_type = "String(StringLen::N(255))")]
    pub last_message_id: String,
    /// The conversation, `conversations.id`; no foreign key.
    pub conversation_id: Option<Uuid>,
    /// The account, `client_accounts.id`.
    pub account_id: Uuid,
    /// Who read.
    #[sea_orm(column_type = "String(StringLen::N(255))")]
    pub reader_ig_id: String,
    /// The other party.
    #[sea_orm(column_type = "String(StringLen::N(255))")]
    pub recipient_ig_id: Option<String>,
    /// When it happened, as Instagram says, UTC.
    pub timestamp: DateTimeUtc,
    /// The item as received; `NULL` where it was blanked.
    #[sea_orm(column_type = "JsonBinary")]
    pub raw_data: Option<Json>,
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
        from = "Column::AccountId",
        to = "super::client_account::Column::Id",
        on_delete = "Cascade"
    )]
    Account,
}

impl Related<super::client_account::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Account.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
