//! What Instagram asks for by its callbacks: an account is stopped, or erased, and is named by its app-scoped id.
//!
//! With Facebook Login that is a person's, who can have several accounts. A callback can come again, also long after:
//! it never touches what was connected after it was issued.

use chrono::{DateTime, TimeDelta, Utc};
use entity::client_account::{Column, Entity, Model};
use entity::erased_account;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};

use super::erasure::Begun;
use super::{Store, StoreError};

/// How far Meta's clock and ours may be apart.
const LARGEST_SKEW: TimeDelta = TimeDelta::minutes(5);

/// What became of an account that Instagram wants stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deauthorized {
    /// It is stopped, and its access token is gone.
    Stopped(String),
    /// It was changed after that was asked for: somebody has connected it again.
    ConnectedSince(String),
}

impl Store {
    /// Expects nothing more of the accounts of a user, and forgets their access tokens, which are of no use any more.
    pub async fn deauthorize(
        &self,
        app_scoped_id: &str,
        issued_at: DateTime<Utc>,
    ) -> Result<Vec<Deauthorized>, StoreError> {
        let mut outcomes = Vec::new();
        for account in self.accounts_of_user(app_scoped_id).await? {
            let name = account.instagram_business_account_id.clone();
            outcomes.push(if self.stop(&account, issued_at).await? {
                Deauthorized::Stopped(name)
            } else {
                Deauthorized::ConnectedSince(name)
            });
        }
        Ok(outcomes)
    }

    async fn stop(&self, account: &Model, issued_at: DateTime<Utc>) -> Result<bool, StoreError> {
        if account.updated_at > issued_at + LARGEST_SKEW {
            return Ok(false);
        }
        let writing = self.begin().await?;
        Entity::update_many()
            .col_expr(Column::Active, Expr::value(false))
            .col_expr(Column::AccessToken, Expr::value(Option::<String>::None))
            .col_expr(Column::UpdatedAt, self.time(Utc::now()))
            .filter(Column::Id.eq(account.id))
            .exec(&writing.transaction)
            .await?;
        self.stop_subscription(&writing.transaction, account.id)
            .await?;
        writing.commit().await?;
        Ok(true)
    }

    /// Begins to erase the accounts of a user. Returns the code under which that can be asked for: this one, or the
    /// one that was given for it before.
    pub async fn begin_deletion(
        &self,
        app_scoped_id: &str,
        issued_at: DateTime<Utc>,
        code: &str,
    ) -> Result<String, StoreError> {
        let mut code = code.to_owned();
        let accounts = self.accounts_of_user(app_scoped_id).await?;
        // An account that is erased and added again is another row.
        let meant = |account: &&Model| account.created_at <= issued_at + LARGEST_SKEW;
        for account in accounts.iter().filter(meant) {
            let ig_account_id = &account.instagram_business_account_id;
            match self.begin_erasure_as(ig_account_id, Some(&code)).await? {
                Begun::Now(tombstone) | Begun::Before(tombstone) => {
                    code = tombstone.confirmation_code.unwrap_or(code);
                }
                Begun::Finished(_) | Begun::Unknown => {}
            }
        }
        Ok(code)
    }

    /// The erasures under a code that Instagram was given.
    pub async fn deletions(&self, code: &str) -> Result<Vec<erased_account::Model>, StoreError> {
        Ok(erased_account::Entity::find()
            .filter(erased_account::Column::ConfirmationCode.eq(code))
            .all(&self.database)
            .await?)
    }

    async fn accounts_of_user(&self, app_scoped_id: &str) -> Result<Vec<Model>, StoreError> {
        Ok(Entity::find()
            .filter(Column::AppScopedId.eq(app_scoped_id))
            .order_by_asc(Column::InstagramBusinessAccountId)
            .all(&self.database)
            .await?)
    }
}
