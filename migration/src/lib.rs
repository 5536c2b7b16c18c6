//! igstream's schema and its history: one migration a table, each with its rollback, for
//! `PostgreSQL` and `SQLite` alike.
//!
//! [`up`], [`down`] and [`fresh`] are the way in. Each is one transaction that first takes a lock, so
//! several instances can start at once, and a change happens whole or not at all.

mod change;
mod schema;

mod m20261124_000001_create_client_accounts;
mod m20261124_000002_create_instagram_webhook_events;
mod m20261124_000003_create_erased_accounts;
mod m20261124_000004_create_instagram_webhook_subscriptions;
mod m20261124_000005_create_instagram_comments;
mod m20261124_000006_create_instagram_mentions;
mod m20261124_000007_create_conversations;
mod m20261124_000008_create_messages;
mod m20261124_000009_create_instagram_message_reactions;
mod m20261124_000010_create_instagram_messaging_postbacks;
mod m20261124_000011_create_instagram_messaging_seen;
mod m20261124_000012_create_instagram_story_insights_aggregated;
mod m20261124_000013_create_instagram_story_insights_view;
mod m20261126_000014_index_what_callbacks_name;
mod m20261126_000015_index_events_as_listed;

use sea_orm_migration::{MigrationTrait, MigratorTrait, async_trait};

pub use change::{Error, State, down, fresh, status, up};

/// The list of migrations, oldest first. Use [`up`] and its like rather than the methods of
/// `MigratorTrait`, which take no lock.
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261124_000001_create_client_accounts::Migration),
            Box::new(m20261124_000002_create_instagram_webhook_events::Migration),
            Box::new(m20261124_000003_create_erased_accounts::Migration),
            Box::new(m20261124_000004_create_instagram_webhook_subscriptions::Migration),
            Box::new(m20261124_000005_create_instagram_comments::Migration),
            Box::new(m20261124_000006_create_instagram_mentions::Migration),
            Box::new(m20261124_000007_create_conversations::Migration),
            Box::new(m20261124_000008_create_messages::Migration),
            Box::new(m20261124_000009_create_instagram_message_reactions::Migration),
            Box::new(m20261124_000010_create_instagram_messaging_postbacks::Migration),
            Box::new(m20261124_000011_create_instagram_messaging_seen::Migration),
            Box::new(m20261124_000012_create_instagram_story_insights_aggregated::Migration),
            Box::new(m20261124_000013_create_instagram_story_insights_view::Migration),
            Box::new(m20261126_000014_index_what_callbacks_name::Migration),
            Box::new(m20261126_000015_index_events_as_listed::Migration),
        ]
    }
}
