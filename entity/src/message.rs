//! `messages`: a direct message. A change can come before the message it changes: the row then waits with `message_type` `NULL`.

use sea_orm::entity::prelude::*;
use serde::Serialize;

/// A row.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize)]
#[sea_orm(table_name = "messages")]
pub struct Model {
    /// The account, `client_accounts.id`.
    #[sea_orm(primary_key, auto_increment = false)]
    pub account_id: Uuid,
    /// The message's id with Instagram (`mid`).
    #[sea_orm(
        primary_key,
        auto_increment = false,
        column_type = "String(StringLen::N(255))"
    )]
    pub id: String,
    /// The conversation, `conversations.id`.
    pub conversation_id: Option<Uuid>,
    /// Who sent it.
    #[sea_orm(column_type = "String(StringLen::N(255))")]
    pub sender_ig_id: Option<String>,
    /// Who got it.
    #[sea_orm(column_type = "String(StringLen::N(255))")]
    pub recipient_ig_id: Option<String>,
    /// `inbound` or `outbound`, seen from the account.
    #[sea_orm(column_type = "String(StringLen::N(20))")]
    pub direction: Option<String>,
    /// What kind of message; `NULL` means that the message itself has not come yet.
    #[sea_orm(column_type = "String(StringLen::N(50))")]
    pub message_type: Option<String>,
    /// What was written.
    #[sea_orm(column_type = "Text")]
    pub text: Option<String>,
    /// The attachments, a list as received.
    #[sea_orm(column_type = "JsonBinary")]
    pub attachments: Option<Json>,
    /// The message it answers.
    #[sea_orm(column_type = "String(StringLen::N(255))")]
    pub reply_to_mid: Option<String>,
    /// The story it answers.
    #[sea_orm(column_type = "JsonBinary")]
    pub reply_to_story: Option<Json>,
    /// The payload of the quick reply that was tapped.
    #[sea_orm(column_type = "Text")]
    pub quick_reply_payload: Option<String>,
    /// Whether the account sent it.
    pub is_echo: bool,
    /// Whether it was unsent.
    pub is_deleted: bool,
    /// Whether Instagram cannot show its content.
    pub is_unsupported: bool,
    /// The number of the highest edit.
    pub edited_count: i32,
    /// When it happened, as Instagram says, UTC.
    pub timestamp: DateTimeUtc,
    /// When it was read, by the earliest receipt, UTC.
    pub seen_at: Option<DateTimeUtc>,
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
    /// The conversation.
    #[sea_orm(
        belongs_to = "super::conversation::Entity",
        from = "Column::ConversationId",
        to = "super::conversation::Column::Id",
        on_delete = "SetNull"
    )]
    Conversation,
}

impl Related<super::client_account::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Account.def()
    }
}

impl Related<super::conversation::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Conversation.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
