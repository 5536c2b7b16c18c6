//! `instagram_messaging_postbacks`: a tap on an icebreaker or a button.

use sea_orm::entity::prelude::*;
use serde::Serialize;

/// A row.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize)]
#[sea_orm(table_name = "instagram_messaging_postbacks")]
pub struct Model {
    /// The row's own id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The message with the button (`mid`), or what stands in for it.
    #[sea_orm(column_type = "String(StringLen::N(255))")]
    pub message_id: String,
    /// The conversation, `conversations.id`; no foreign key.
    pub conversation_id: Option<Uuid>,
    /// The account, `client_accounts.id`.
    pub account_id: Uuid,
    /// Who tapped.
    #[sea_orm(column_type = "String(StringLen::N(255))")]
    pub sender_ig_id: String,
    /// The other party.
    #[sea_orm(column_type = "String(StringLen::N(255))")]
    pub recipient_ig_id: Option<String>,
    /// Whether the account tapped its own button.
    pub is_self: bool,
    /// The text on the button.
    #[sea_orm(column_type = "String(StringLen::N(255))")]
    pub postback_title: Option<String>,
    /// What the button carries.
    #[sea_orm(column_type = "Text")]
    pub postback_payload: Option<String>,
    /// When it happened, as Instagram says, UTC.
    pub timestamp: DateTimeUtc,
    /// The item as received; `NULL` where it was blanked.
    #[sea_orm(column_type = "JsonBinary")]
    pub raw_data: Option<Json>,
    /// Whether an automatic reply or another service has dealt with it.
    pub processed: bool,
    /// When that was, UTC.
    pub processed_at: Option<DateTimeUtc>,
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
