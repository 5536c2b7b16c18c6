//! What belongs to an erased account: nothing of it is stored, replayed or audited any more, though
//! the journal holds it for a while.
//!
//! A tombstone covers what came up to the erasure. What comes later is of an unknown account like
//! any other.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use entity::erased_account::Entity;
use sea_orm::{ConnectionTrait, DbErr, EntityTrait};
use uuid::Uuid;

use super::{Store, StoreError};
use crate::instagram::identity::{received_at, subject_token};

/// The tombstones.
#[derive(Debug, Clone, Default)]
pub struct Erased(HashMap<String, DateTime<Utc>>);

impl Erased {
    /// Whether that receipt was erased with its account.
    #[must_use]
    pub fn covers(&self, ig_account_id: &str, receipt_id: Uuid) -> bool {
        !self.0.is_empty() && self.covers_token(&subject_token(ig_account_id), receipt_id)
    }

    /// As [`Erased::covers`], by the account's token in a subject.
    #[must_use]
    pub fn covers_token(&self, account_token: &str, receipt_id: Uuid) -> bool {
        let erased_at = self.0.get(account_token);
        erased_at.is_some_and(|erased_at| {
            received_at(receipt_id).timestamp_millis() <= erased_at.timestamp_millis()
        })
    }
}

impl Store {
    /// The tombstones there are.
    pub async fn erased(&self) -> Result<Erased, StoreError> {
        Ok(read(&self.database).await?)
    }
}

pub(super) async fn read(on: &impl ConnectionTrait) -> Result<Erased, DbErr> {
    let tombstones = Entity::find().all(on).await?;
    let by_token = tombstones
        .into_iter()
        .map(|tombstone| (subject_token(&tombstone.ig_account_id), tombstone.erased_at))
        .collect();
    Ok(Erased(by_token))
}
