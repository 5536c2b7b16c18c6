//! `instagram_message_reactions`: a reaction to a message, or its withdrawal.

use sea_orm::entity::prelude::*;
use serde::Serialize;

/// A row.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize)]
#[sea_orm(table_name = "instagram_message_reactions")]
pub struct Model {
    /// The row's own id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The message (`mid`).
    #[sea_orm(column_type = "String(StringLen::N(255))")]
    pub message_id: String,
    /// The conversation, `conversations.id`; no foreign key.
    pub conversation_id: Option<Uuid>,
    /// The account, `client_accounts.id`.
    pub account_id: Uuid,
    /// Who reacted.
    #[sea_orm(column_type = "String(StringLen::N(255))")]
    pub sender_ig_id: String,
    /// The other party.
    #[sea_orm(column_type = "String(StringLen::N(255))")]
    pub recipient_ig_id: Option<String>,
    /// `react` or `unreact`.
    #[sea_orm(column_type = "String(StringLen::N(20))")]
    pub action: String,
    /// `love`, `like`, …; an `unreact` has none.
    #[sea_orm(column_type = "String(StringLen::N(50))")]
    pub reaction_type: Option<String>,
    /// The emoji, in characters of Unicode.
    #[sea_orm(column_type = "String(StringLen::N(64))")]
    pub emoji: Option<String>,
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
