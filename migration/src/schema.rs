//! The words the migrations are written in: columns as each of the two databases takes them, and
//! tables with their indexes.
//!
//! Applied migrations depend on this file: add words, do not change what one means.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

/// The columns of one kind of database.
#[derive(Clone, Copy)]
pub struct Columns(DbBackend);

impl Columns {
    pub fn of(manager: &SchemaManager<'_>) -> Self {
        Self(manager.get_database_backend())
    }

    /// An id or a word made by machines, up to `length` characters: compared, never shown in a
    /// person's order. `COLLATE "C"` compares bytes: quicker, and an index serves prefixes.
    pub fn token(self, name: &'static str, length: u32) -> ColumnDef {
        let mut column = ColumnDef::new(name);
        column.string_len(length);
        if self.0 == DbBackend::Postgres {
            column.extra(r#"COLLATE "C""#);
        }
        column
    }

    /// An id of Instagram's: longer than 64 bits can promise.
    pub fn instagram_id(self, name: &'static str) -> ColumnDef {
        self.token(name, 255)
    }

    /// A moment that is now unless the writer says otherwise.
    pub fn timestamp_now(self, name: &'static str) -> ColumnDef {
        let mut column = timestamp(name);
        column.not_null().default(match self.0 {
            DbBackend::Sqlite => Expr::cust("strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')"),
            _ => Expr::cust("now()"),
        });
        column
    }
}

/// A moment, UTC, to the microsecond. In `SQLite` it is text (the declared type has `TEXT` in it, so
/// nothing is turned into a number) of one width, so that it sorts.
pub fn timestamp(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).timestamp_with_time_zone().take()
}

pub fn text(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).text().take()
}

pub fn name(name: &'static str, length: u32) -> ColumnDef {
    ColumnDef::new(name).string_len(length).take()
}

pub fn json(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).json_binary().take()
}

pub fn uuid(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).uuid().take()
}

pub fn bigint(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).big_integer().take()
}

/// A yes or no that is no until somebody says otherwise.
pub fn flag(name: &'static str) -> ColumnDef {
    ColumnDef::new(name)
        .boolean()
        .not_null()
        .default(false)
        .take()
}

/// A number that begins at 0.
pub fn count(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).integer().not_null().default(0).take()
}

/// A number that begins at 0 and can pass two thousand million.
pub fn big_count(name: &'static str) -> ColumnDef {
    bigint(name).not_null().default(0).take()
}

/// `column` must be one of `values`, or `NULL`.
pub fn one_of(constraint: &'static str, column: &'static str, values: &[&'static str]) -> Check {
    let values: Vec<&'static str> = values.to_vec();
    Check::named(constraint, Expr::col(column).is_in(values))
}

/// A table to be made, with its indexes.
pub struct NewTable {
    name: &'static str,
    table: TableCreateStatement,
    indexes: Vec<IndexCreateStatement>,
}

impl NewTable {
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            table: Table::create().table(name).take(),
            indexes: Vec::new(),
        }
    }

    pub fn column(mut self, mut column: ColumnDef) -> Self {
        self.table.col(&mut column);
        self
    }

    pub fn required(self, mut column: ColumnDef) -> Self {
        self.column(column.not_null().take())
    }

    /// `id uuid`, the primary key; the writer makes it.
    pub fn uuid_key(self) -> Self {
        self.column(uuid("id").not_null().primary_key().take())
    }

    pub fn primary_key(mut self, name: &'static str, columns: &[&'static str]) -> Self {
        let mut key = Index::create();
        key.name(name).primary();
        for column in columns {
            key.col(*column);
        }
        self.table.primary_key(&mut key);
        self
    }

    /// `account_id`: what belongs to an account goes with it.
    pub fn account(self, foreign_key: &'static str) -> Self {
        self.required(uuid("account_id")).references(
            foreign_key,
            "account_id",
            "client_accounts",
            ForeignKeyAction::Cascade,
        )
    }

    /// A foreign key to the `id` of `target`.
    pub fn references(
        mut self,
        name: &'static str,
        column: &'static str,
        target: &'static str,
        on_delete: ForeignKeyAction,
    ) -> Self {
        let mut key = ForeignKey::create();
        key.name(name)
            .from(self.name, column)
            .to(target, "id")
            .on_delete(on_delete);
        self.table.foreign_key(&mut key);
        self
    }

    pub fn check(mut self, check: Check) -> Self {
        self.table.check(check);
        self
    }

    /// `created_at` and `updated_at`.
    pub fn timestamps(self, columns: Columns) -> Self {
        self.column(columns.timestamp_now("created_at"))
            .column(columns.timestamp_now("updated_at"))
    }

    pub fn unique(self, name: &'static str, columns: &[&'static str]) -> Self {
        let mut index = index_on(name, columns);
        index.unique();
        self.indexed(index)
    }

    pub fn index(self, name: &'static str, columns: &[&'static str]) -> Self {
        let index = index_on(name, columns);
        self.indexed(index)
    }

    /// An index of `columns`, the last of them from the highest down.
    pub fn index_latest(
        self,
        name: &'static str,
        columns: &[&'static str],
        last: &'static str,
    ) -> Self {
        let mut index = index_on(name, columns);
        index.col((last, IndexOrder::Desc));
        self.indexed(index)
    }

    /// An index of the rows for which `condition` holds.
    pub fn index_where(
        self,
        name: &'static str,
        columns: &[&'static str],
        condition: Expr,
    ) -> Self {
        let mut index = index_on(name, columns);
        index.and_where(condition);
        self.indexed(index)
    }

    pub fn indexed(mut self, mut index: IndexCreateStatement) -> Self {
        index.table(self.name);
        self.indexes.push(index);
        self
    }

    pub async fn create(self, manager: &SchemaManager<'_>) -> Result<(), DbErr> {
        manager.create_table(self.table).await?;
        for index in self.indexes {
            manager.create_index(index).await?;
        }
        Ok(())
    }
}

pub fn index_on(name: &'static str, columns: &[&'static str]) -> IndexCreateStatement {
    let mut index = Index::create();
    index.name(name);
    for column in columns {
        index.col(*column);
    }
    index
}

/// Drops a table, and its indexes with it.
pub async fn drop_table(manager: &SchemaManager<'_>, name: &'static str) -> Result<(), DbErr> {
    manager.drop_table(Table::drop().table(name).take()).await
}
