//! The rows of an erased account go, page by page, each in a transaction of its own.
//!
//! Each page is found by an index: the types' tables by account, the generic log by the account as
//! received, its duplicates by their first row. Rows go before the rows that they point to, so that
//! nothing is looked for in a whole table when those go.

use entity::columns::{Column, Kind};
use entity::erased_account::Model;
use entity::webhook_event;
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, PaginatorTrait, QueryFilter, Statement, Value,
};
use serde_json::json;
use uuid::Uuid;

use super::accounts::{SUBSCRIPTIONS, TABLE as ACCOUNTS};
use super::dialect::Dialect;
use super::erased::last_covered;
use super::erasure::find_account;
use super::generic::TABLE;
use super::statements::{Row, column, row};
use super::typed::CONVERSATIONS;
use super::{Store, StoreError};
use crate::instagram::types::{self, Table};

/// How many rows one transaction deletes.
const PAGE: usize = 1000;

/// That row `f` is a duplicate of the row whose receipt `r` has.
const IS_DUPLICATE: &str = "f.\"duplicate_of\" = r.receipt";

/// Takes a table and how many of its rows went.
pub type Told<'a> = &'a mut (dyn FnMut(&'static str, u64) + Send);

impl Store {
    /// How many rows there are of an account, by table.
    pub async fn rows_of(
        &self,
        ig_account_id: &str,
    ) -> Result<Vec<(&'static str, u64)>, StoreError> {
        let on = &self.database;
        let account = find_account(on, ig_account_id).await?;
        let mut rows = Vec::new();
        for table in tables().filter(|_| account.is_some()) {
            let sql = format!(
                "SELECT COUNT(*) AS n FROM \"{}\" WHERE \"account_id\" = $1",
                table.name
            );
            rows.push((table.name, count(on, &sql, [account.into()]).await?));
        }
        let firsts = webhook_event::Entity::find()
            .filter(webhook_event::Column::IgAccountId.eq(ig_account_id))
            .filter(Expr::col(webhook_event::Column::IsDuplicate).not())
            .count(on)
            .await?;
        let duplicates = Dialect::of(self.backend()).ids_for_each(
            &format!(
                "SELECT \"id\" AS receipt FROM \"{TABLE}\" WHERE \"ig_account_id\" = $1 AND NOT \"is_duplicate\""
            ),
            TABLE,
            IS_DUPLICATE,
        );
        let duplicates = format!("SELECT COUNT(*) AS n FROM ({duplicates}) AS d");
        let duplicates = count(on, &duplicates, [ig_account_id.into()]).await?;
        rows.push((TABLE, firsts + duplicates));
        rows.push((ACCOUNTS, u64::from(account.is_some())));
        Ok(rows)
    }

    /// Deletes the rows that a tombstone covers, and tells of each page. Safe to repeat, and to do
    /// several times at once.
    pub async fn delete_erased_rows(
        &self,
        tombstone: &Model,
        told: Told<'_>,
    ) -> Result<(), StoreError> {
        let account = self.account_erased_by(tombstone).await?;
        for table in tables() {
            let Some(account) = account else { break };
            self.delete_of_account(table, account, told).await?;
        }
        self.delete_events(tombstone, told).await?;
        if let Some(account) = account {
            self.delete_rest(account, told).await?;
            let sql = format!("DELETE FROM \"{ACCOUNTS}\" WHERE \"id\" = $1");
            told(ACCOUNTS, self.delete(&sql, By::Account(account)).await?);
        }
        Ok(())
    }

    /// While an erasure is under way there is no other account of that id than the one that goes;
    /// asked at once, so that it is not one that was added after another instance had finished.
    async fn account_erased_by(&self, tombstone: &Model) -> Result<Option<Uuid>, DbErr> {
        let backend = self.backend();
        let sql = format!(
            "SELECT a.\"id\" FROM \"{ACCOUNTS}\" AS a JOIN \"erased_accounts\" AS e \
             ON e.\"ig_account_id\" = a.\"instagram_business_account_id\" \
             WHERE e.\"ig_account_id\" = $1 AND e.\"finished_at\" IS NULL"
        );
        let id = Value::from(tombstone.ig_account_id.as_str());
        let found = self
            .database
            .query_one_raw(Statement::from_sql_and_values(backend, sql, [id]))
            .await?;
        found.map(|found| found.try_get("", "id")).transpose()
    }

    /// In the order of the table's key, each page after the one before, so that no page goes over
    /// what is deleted already.
    async fn delete_of_account(
        &self,
        table: &Table,
        account: Uuid,
        told: Told<'_>,
    ) -> Result<(), DbErr> {
        let place = Dialect::of(self.backend()).place();
        let name = table.name;
        let Some(key) = second_of_key(table) else {
            let page = format!("SELECT {place} FROM \"{name}\" WHERE \"account_id\" = $1");
            return self
                .delete_pages(name, place, &page, By::Account(account), told)
                .await;
        };
        let page = Dialect::of(self.backend()).one_of(&format!(
            "SELECT {place} FROM \"{name}\" WHERE \"account_id\" = $1 AND \"{key}\" >= $2 \
             ORDER BY \"{key}\" LIMIT {PAGE}"
        ));
        let sql = format!("DELETE FROM \"{name}\" WHERE {place} {page} RETURNING \"{key}\"");
        let mut from = String::new();
        loop {
            let writing = self.begin().await?;
            let values = [account.into(), from.clone().into()];
            let statement = Statement::from_sql_and_values(self.backend(), &sql, values);
            let gone = writing.transaction.query_all_raw(statement).await?;
            writing.commit().await?;
            told(name, gone.len() as u64);
            for row in &gone {
                from = Ord::max(from, row.try_get("", key)?);
            }
            if gone.is_empty() {
                return Ok(());
            }
        }
    }

    /// First rows with their duplicates, in the order of their events.
    async fn delete_events(&self, tombstone: &Model, told: Told<'_>) -> Result<(), DbErr> {
        let sql = format!(
            "SELECT \"id\", \"event_type\", \"event_id\" FROM \"{TABLE}\" WHERE \"ig_account_id\" = $1 \
             AND NOT \"is_duplicate\" AND (\"event_type\", \"event_id\") >= ($2, $3) AND \"id\" <= $4 \
             ORDER BY \"event_type\", \"event_id\" LIMIT {PAGE}"
        );
        let last = last_covered(tombstone.erased_at);
        let mut from = (String::new(), String::new());
        loop {
            let values: [Value; 4] = [
                tombstone.ig_account_id.as_str().into(),
                from.0.into(),
                from.1.into(),
                last.into(),
            ];
            let statement = Statement::from_sql_and_values(self.backend(), &sql, values);
            let page = self.database.query_all_raw(statement).await?;
            let Some(end) = page.last() else {
                return Ok(());
            };
            from = (end.try_get("", "event_type")?, end.try_get("", "event_id")?);
            let ids: Vec<Uuid> = page
                .iter()
                .map(|row| row.try_get("", "id"))
                .collect::<Result<_, _>>()?;
            self.delete_with_duplicates(&ids, told).await?;
        }
    }

    /// An event that was told without end has more duplicates than a page.
    async fn delete_with_duplicates(&self, firsts: &[Uuid], told: Told<'_>) -> Result<(), DbErr> {
        let dialect = Dialect::of(self.backend());
        let columns = [column("receipt", Kind::Uuid)];
        let rows: Vec<Row> = firsts
            .iter()
            .map(|first| row(json!({ "receipt": first })))
            .collect();
        let by = By::Rows(&rows, &columns);
        let firsts = dialect.rows(&columns);
        let duplicates = dialect.ids_for_each(&firsts, TABLE, IS_DUPLICATE);
        self.delete_pages(TABLE, "id", &duplicates, by, told)
            .await?;
        let firsts = dialect.one_of(&firsts);
        let sql = format!("DELETE FROM \"{TABLE}\" WHERE \"id\" {firsts}");
        told(TABLE, self.delete(&sql, by).await?);
        Ok(())
    }

    /// What is the account's and was not found by its first row: that one is gone already.
    async fn delete_rest(&self, account: Uuid, told: Told<'_>) -> Result<(), DbErr> {
        let rest = format!(
            "SELECT \"id\" FROM \"{TABLE}\" WHERE \"instagram_account_id\" = $1 ORDER BY \"created_at\""
        );
        self.delete_pages(TABLE, "id", &rest, By::Account(account), told)
            .await
    }

    /// Deletes the rows of `table` whose values of `column` are those of `query`, until it finds none.
    async fn delete_pages(
        &self,
        table: &'static str,
        column: &str,
        query: &str,
        by: By<'_>,
        told: Told<'_>,
    ) -> Result<(), DbErr> {
        let page = Dialect::of(self.backend()).one_of(&format!("{query} LIMIT {PAGE}"));
        let sql = format!("DELETE FROM \"{table}\" WHERE {column} {page}");
        loop {
            let gone = self.delete(&sql, by).await?;
            told(table, gone);
            if gone == 0 {
                return Ok(());
            }
        }
    }

    async fn delete(&self, sql: &str, by: By<'_>) -> Result<u64, DbErr> {
        let writing = self.begin().await?;
        let on = &writing.transaction;
        let gone = match by {
            By::Account(account) => {
                let statement =
                    Statement::from_sql_and_values(self.backend(), sql, [account.into()]);
                on.execute_raw(statement).await?.rows_affected()
            }
            By::Rows(rows, columns) => on.execute_rows(sql, rows, columns).await?,
        };
        writing.commit().await?;
        Ok(gone)
    }
}

/// The parameters of what deletes.
#[derive(Clone, Copy)]
enum By<'a> {
    Account(Uuid),
    Rows(&'a [Row], &'a [Column]),
}

/// The tables by account, those that others point to last.
fn tables() -> impl Iterator<Item = &'static Table> {
    types::tables()
        .into_iter()
        .chain([&CONVERSATIONS, &SUBSCRIPTIONS])
}

/// By what an account's rows are in order.
fn second_of_key(table: &Table) -> Option<&'static str> {
    let key = table.key.get(1)?;
    let columns = (table.columns)();
    let is_text = |column: &entity::columns::Column| {
        column.name == *key && matches!(column.kind, Kind::Text(_))
    };
    columns.iter().any(is_text).then_some(*key)
}

async fn count<const N: usize>(
    on: &impl ConnectionTrait,
    sql: &str,
    values: [Value; N],
) -> Result<u64, DbErr> {
    let statement = Statement::from_sql_and_values(on.get_database_backend(), sql, values);
    let counted = on.query_one_raw(statement).await?;
    let counted: i64 = counted.map_or(Ok(0), |row| row.try_get("", "n"))?;
    Ok(u64::try_from(counted).unwrap_or(0))
}
