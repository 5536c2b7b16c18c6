//! The access tokens of all accounts, encrypted, page by page: for a key that is rotated.

use std::collections::BTreeMap;

use entity::EncryptedToken;
use entity::client_account::{Column, Entity};
use entity::columns::Kind;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde_json::json;
use uuid::Uuid;

use super::accounts::TABLE;
use super::dialect::Dialect;
use super::statements::{Row, column, row};
use super::{Store, StoreError};

/// An account's token as it is stored.
#[derive(Debug, Clone)]
pub struct StoredToken {
    /// The account's own id.
    pub account: Uuid,
    /// Its id with Instagram.
    pub ig_account_id: String,
    /// The token, encrypted.
    pub token: EncryptedToken,
}

/// A token that takes the place of another one.
#[derive(Debug, Clone)]
pub struct Resealed {
    /// The account's own id.
    pub account: Uuid,
    /// What is stored now.
    pub before: EncryptedToken,
    /// What is to be.
    pub after: String,
}

impl Store {
    /// Up to `limit` tokens, of the accounts after this one, in the order of their ids.
    pub async fn stored_tokens(
        &self,
        after: Option<Uuid>,
        limit: u64,
    ) -> Result<Vec<StoredToken>, StoreError> {
        let mut accounts = Entity::find().filter(Column::AccessToken.is_not_null());
        if let Some(after) = after {
            accounts = accounts.filter(Column::Id.gt(after));
        }
        let found = accounts
            .order_by_asc(Column::Id)
            .limit(limit)
            .all(&self.database)
            .await?;
        let tokens = found.into_iter().filter_map(|account| {
            Some(StoredToken {
                account: account.id,
                ig_account_id: account.instagram_business_account_id,
                token: account.access_token?,
            })
        });
        Ok(tokens.collect())
    }

    /// Puts each in the place of the one before, in one transaction; a token that was changed meanwhile stays as it
    /// is. The account is no other for it, so `updated_at` stays too. Returns how many.
    pub async fn replace_tokens(&self, tokens: Vec<Resealed>) -> Result<u64, StoreError> {
        let columns = [
            column("id", Kind::Uuid),
            column("before", Kind::Text(None)),
            column("after", Kind::Text(None)),
        ];
        // In the order of the accounts, so that two who do this do not wait for each other.
        let by_account: BTreeMap<Uuid, Row> = tokens
            .into_iter()
            .map(|one| {
                let Resealed {
                    account,
                    before,
                    after,
                } = one;
                let cells = json!({ "id": account, "before": before.0, "after": after });
                (account, row(cells))
            })
            .collect();
        let rows: Vec<Row> = by_account.into_values().collect();
        let writing = self.begin().await?;
        let on = &writing.transaction;
        let dialect = Dialect::of(on.get_database_backend());
        let sql = format!(
            "UPDATE \"{TABLE}\" SET \"access_token\" = n.\"after\" FROM ({rows}) AS n \
             WHERE \"{TABLE}\".\"id\" = n.\"id\" AND \"{TABLE}\".\"access_token\" = n.\"before\"",
            rows = dialect.rows(&columns)
        );
        let replaced = on.execute_rows(&sql, &rows, &columns).await?;
        writing.commit().await?;
        Ok(replaced)
    }
}
