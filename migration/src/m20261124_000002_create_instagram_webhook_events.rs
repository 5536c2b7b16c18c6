//! `instagram_webhook_events`: the generic log, one row a received item.

use sea_orm_migration::prelude::*;

use crate::schema::{
    Columns, NewTable, bigint, count, drop_table, flag, index_on, json, name, one_of, text,
    timestamp, uuid,
};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let c = Columns::of(manager);
        NewTable::new("instagram_webhook_events")
            .uuid_key()
            .required(c.token("event_type", 50))
            .required(c.token("event_id", 512))
            .column(uuid("instagram_account_id"))
            .required(c.instagram_id("ig_account_id"))
            .column(c.token("origin", 20))
            .column(c.instagram_id("object_type"))
            .column(c.instagram_id("object_id"))
            .column(c.instagram_id("sender_ig_id"))
            .column(name("sender_username", 255))
            .column(json("payload"))
            .required(c.token("status", 20))
            .column(flag("processed"))
            .column(timestamp("processed_at"))
            .column(count("processing_attempts"))
            .column(count("deaths"))
            .column(text("last_processing_error"))
            .column(flag("is_duplicate"))
            .column(uuid("duplicate_of"))
            .column(bigint("stream_sequence"))
            .required(uuid("delivery_id"))
            .required(timestamp("occurred_at"))
            .required(timestamp("received_at"))
            .timestamps(c)
            .references(
                "fk_webhook_events_account",
                "instagram_account_id",
                "client_accounts",
                ForeignKeyAction::SetNull,
            )
            .references(
                "fk_webhook_events_duplicate_of",
                "duplicate_of",
                "instagram_webhook_events",
                ForeignKeyAction::SetNull,
            )
            .check(one_of(
                "ck_webhook_events_origin",
                "origin",
                &["changes", "field", "messaging", "standby"],
            ))
            .check(one_of(
                "ck_webhook_events_status",
                "status",
                &[
                    "stored",
                    "duplicate",
                    "retrying",
                    "dead",
                    "unassigned",
                    "discarded",
                ],
            ))
            .indexed(first_tellings())
            .index(
                "idx_webhook_events_account_created_at",
                &["instagram_account_id", "created_at"],
            )
            .index(
                "idx_webhook_events_type_stream_sequence",
                &["event_type", "stream_sequence"],
            )
            .index("idx_webhook_events_sender", &["sender_ig_id"])
            .indexed(created_at())
            .index_where(
                "idx_webhook_events_unprocessed",
                &["status", "created_at"],
                Expr::col("processed").not(),
            )
            .index_where(
                "idx_webhook_events_duplicates",
                &["created_at"],
                Expr::cust("is_duplicate"),
            )
            .index_where(
                "idx_webhook_events_duplicate_of",
                &["duplicate_of"],
                Expr::col("duplicate_of").is_not_null(),
            )
            .index_where(
                "idx_webhook_events_unassigned",
                &["ig_account_id", "id"],
                Expr::col("status").eq("unassigned"),
            )
            .create(manager)
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_table(manager, "instagram_webhook_events").await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

/// What Instagram told for the first time: an event has one such row.
fn first_tellings() -> IndexCreateStatement {
    index_on(
        "uq_webhook_events_first",
        &["ig_account_id", "event_type", "event_id"],
    )
    .unique()
    .and_where(Expr::col("is_duplicate").not())
    .take()
}

/// By time of writing. The table only grows at its end, so in `PostgreSQL` a block range index does
/// at next to no cost; `SQLite` knows only one kind.
fn created_at() -> IndexCreateStatement {
    index_on("idx_webhook_events_created_at", &["created_at"])
        .index_type(IndexType::Custom("BRIN".into_iden()))
        .take()
}
