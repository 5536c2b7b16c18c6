//! `instagram_webhook_subscriptions`: what an account is subscribed to; one row an account.

use sea_orm::entity::prelude::*;
use serde::Serialize;

/// A row.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize)]
#[sea_orm(table_name = "instagram_webhook_subscriptions")]
pub struct Model {
    /// The row's own id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The account, `client_accounts.id`.
    pub account_id: Uuid,
    /// The subscribed fields, a list of text.
    #[sea_orm(column_type = "JsonBinary")]
    pub fields: Json,
    /// The state of the subscription.
    #[sea_orm(column_type = "String(StringLen::N(20))")]
    pub status: String,
    /// How many events came by it.
    pub events_received_count: i64,
    /// When the last one came, UTC.
    pub last_event_at: Option<DateTimeUtc>,
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
