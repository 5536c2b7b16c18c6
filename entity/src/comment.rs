//! `instagram_comments`: a comment or live comment as one account sees it.

use sea_orm::entity::prelude::*;
use serde::Serialize;

/// A row.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize)]
#[sea_orm(table_name = "instagram_comments")]
pub struct Model {
    /// The account, `client_accounts.id`.
    #[sea_orm(primary_key, auto_increment = false)]
    pub account_id: Uuid,
    /// The comment's id with Instagram; the same comment can reach two accounts.
    #[sea_orm(
        primary_key,
        auto_increment = false,
        column_type = "String(StringLen::N(255))"
    )]
    pub id: String,
    /// What was written; missing for a GIF.
    #[sea_orm(column_type = "Text")]
    pub text: Option<String>,
    /// When it happened, as Instagram says, UTC.
    pub timestamp: DateTimeUtc,
    /// Who wrote it.
    #[sea_orm(column_type = "String(StringLen::N(255))")]
    pub from_id: Option<String>,
    /// The name of who wrote it.
    #[sea_orm(column_type = "String(StringLen::N(255))")]
    pub from_username: Option<String>,
    /// The post, reel, story or live video it is under.
    #[sea_orm(column_type = "String(StringLen::N(255))")]
    pub media_id: Option<String>,
    /// `FEED`, `REELS`, `STORY`, `AD`, ….
    #[sea_orm(column_type = "String(StringLen::N(50))")]
    pub media_product_type: Option<String>,
    /// The ad it is under.
    #[sea_orm(column_type = "String(StringLen::N(255))")]
    pub ad_id: Option<String>,
    /// The comment it replies to.
    #[sea_orm(column_type = "String(StringLen::N(255))")]
    pub parent_id: Option<String>,
    /// How many like it.
    pub like_count: i64,
    /// Whether it is hidden.
    pub is_hidden: bool,
    /// Whether it was made during a live broadcast.
    pub is_live: bool,
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
