//! `instagram_mentions`: a mention of the account in a comment, a caption or a story.

use sea_orm::entity::prelude::*;
use serde::Serialize;

/// A row.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize)]
#[sea_orm(table_name = "instagram_mentions")]
pub struct Model {
    /// The account, `client_accounts.id`.
    #[sea_orm(primary_key, auto_increment = false)]
    pub account_id: Uuid,
    /// The event id: Instagram gives a mention none of its own.
    #[sea_orm(
        primary_key,
        auto_increment = false,
        column_type = "String(StringLen::N(512))"
    )]
    pub id: String,
    /// The post or story.
    #[sea_orm(column_type = "String(StringLen::N(255))")]
    pub media_id: Option<String>,
    /// The comment, where it is in one.
    #[sea_orm(column_type = "String(StringLen::N(255))")]
    pub comment_id: Option<String>,
    /// When it happened, as Instagram says, UTC.
    pub timestamp: DateTimeUtc,
    /// `story`, `post` or `comment`.
    #[sea_orm(column_type = "String(StringLen::N(20))")]
    pub mentioned_in: String,
    /// Who mentioned the account.
    #[sea_orm(column_type = "String(StringLen::N(255))")]
    pub from_id: Option<String>,
    /// The name of who mentioned the account.
    #[sea_orm(column_type = "String(StringLen::N(255))")]
    pub from_username: Option<String>,
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
