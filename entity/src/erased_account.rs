//! `erased_accounts`: the tombstone of an erased account: replay and audit pass over what the journal still holds of it.

use sea_orm::entity::prelude::*;
use serde::Serialize;

/// A row.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize)]
#[sea_orm(table_name = "erased_accounts")]
pub struct Model {
    /// The account's id with Instagram.
    #[sea_orm(
        primary_key,
        auto_increment = false,
        column_type = "String(StringLen::N(255))"
    )]
    pub ig_account_id: String,
    /// When the erasure was asked for, UTC.
    pub erased_at: DateTimeUtc,
    /// When nothing was left of it outside the journal, UTC.
    pub finished_at: Option<DateTimeUtc>,
    /// The code Instagram was given; `NULL` where an operator erased it.
    #[sea_orm(column_type = "String(StringLen::N(64))")]
    pub confirmation_code: Option<String>,
}

/// The tables this one points to.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
