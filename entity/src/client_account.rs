//! `client_accounts`: an Instagram professional account whose traffic is expected.

use sea_orm::entity::prelude::*;
use serde::Serialize;

use crate::EncryptedToken;

/// A row.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize)]
#[sea_orm(table_name = "client_accounts")]
pub struct Model {
    /// The row's own id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The account's id with Instagram, as in `entry[].id`; unique.
    #[sea_orm(column_type = "String(StringLen::N(255))", unique)]
    pub instagram_business_account_id: String,
    /// The account's app-scoped id, by which the deauthorise and data-deletion callbacks name it.
    #[sea_orm(column_type = "String(StringLen::N(255))")]
    pub app_scoped_id: Option<String>,
    /// The account's name with Instagram.
    #[sea_orm(column_type = "String(StringLen::N(255))")]
    pub username: Option<String>,
    /// The access token, encrypted.
    #[sea_orm(column_type = "Text")]
    #[serde(skip)]
    pub access_token: Option<EncryptedToken>,
    /// Whether its events are processed.
    pub active: bool,
    /// When the row was written, UTC.
    pub created_at: DateTimeUtc,
    /// When the row was last changed, UTC.
    pub updated_at: DateTimeUtc,
}

/// The tables this one points to.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
