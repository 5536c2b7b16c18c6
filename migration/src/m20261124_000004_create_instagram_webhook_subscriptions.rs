//! `instagram_webhook_subscriptions`: what each account is subscribed to.

use sea_orm_migration::prelude::*;

use crate::schema::{Columns, NewTable, big_count, drop_table, json, timestamp};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let c = Columns::of(manager);
        NewTable::new("instagram_webhook_subscriptions")
            .uuid_key()
            .account("fk_webhook_subscriptions_account")
            .column(json("fields").not_null().default("[]").take())
            .column(c.token("status", 20).not_null().default("active").take())
            .column(big_count("events_received_count"))
            .column(timestamp("last_event_at"))
            .timestamps(c)
            .unique("uq_webhook_subscriptions_account", &["account_id"])
            .create(manager)
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_table(manager, "instagram_webhook_subscriptions").await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
