//! `instagram_story_insights_aggregated`: the figures of a story when it expired. `NULL` where Instagram sent none or −1: unknown is not 0.

use sea_orm::entity::prelude::*;
use serde::Serialize;

/// A row.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize)]
#[sea_orm(table_name = "instagram_story_insights_aggregated")]
pub struct Model {
    /// The row's own id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The story.
    #[sea_orm(column_type = "String(StringLen::N(255))")]
    pub media_id: String,
    /// The account, `client_accounts.id`.
    pub account_id: Uuid,
    /// How often it was shown.
    pub impressions: Option<i64>,
    /// How many accounts saw it.
    pub reach: Option<i64>,
    /// Taps to the next story.
    pub taps_forward: Option<i64>,
    /// Taps to the one before.
    pub taps_back: Option<i64>,
    /// How often it was left.
    pub exits: Option<i64>,
    /// How many replies it got.
    pub replies: Option<i64>,
    /// `entry.time`: when the figures were sent, UTC.
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
