//! What a database says of its own schema.

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement};

/// The whole schema but the list of migrations, a line a thing: columns with types, collations,
/// nullability and defaults, indexes, constraints, views. `SQLite` says all of it in its statements.
pub async fn dump(db: &DatabaseConnection) -> Vec<String> {
    lines(
        db,
        match db.get_database_backend() {
            DbBackend::Sqlite => SQLITE,
            _ => POSTGRES,
        },
    )
    .await
}

/// The columns of the tables with what an entity says of them too: type, length, nullability.
pub async fn columns(db: &DatabaseConnection) -> Vec<String> {
    lines(
        db,
        match db.get_database_backend() {
            DbBackend::Sqlite => SQLITE_COLUMNS,
            _ => POSTGRES_COLUMNS,
        },
    )
    .await
}

async fn lines(db: &DatabaseConnection, query: &str) -> Vec<String> {
    let statement = Statement::from_string(db.get_database_backend(), query);
    let rows = db
        .query_all_raw(statement)
        .await
        .expect("the schema can be read");
    rows.iter()
        .map(|row| row.try_get_by_index(0).expect("a line of text"))
        .collect()
}

const SQLITE: &str = "
    SELECT type || ' ' || name || ': ' || coalesce(sql, '') FROM sqlite_master
    WHERE tbl_name <> 'seaql_migrations' ORDER BY 1";

const SQLITE_COLUMNS: &str = r#"
    SELECT m.name || '.' || c.name || ' ' || c.type || iif(c."notnull", ' NOT NULL', '')
    FROM sqlite_master m JOIN pragma_table_info(m.name) c
    WHERE m.type = 'table' AND m.name <> 'seaql_migrations' ORDER BY 1"#;

const POSTGRES: &str = "
    SELECT line COLLATE \"C\" FROM (
        SELECT format('column %s %s.%s %s(%s) collate %s null %s default %s', ordinal_position, table_name,
            column_name, data_type, character_maximum_length, collation_name, is_nullable, column_default)
        FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'seaql_migrations'
        UNION ALL
        SELECT 'index ' || indexdef FROM pg_indexes
        WHERE schemaname = 'public' AND tablename <> 'seaql_migrations'
        UNION ALL
        SELECT format('constraint %s.%s %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
        FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text <> 'seaql_migrations'
        UNION ALL
        SELECT format('view %s %s', viewname, definition) FROM pg_views WHERE schemaname = 'public'
    ) AS lines (line) ORDER BY 1";

const POSTGRES_COLUMNS: &str = "
    SELECT (format('%s.%s %s(%s) %s', table_name, column_name, udt_name, character_maximum_length,
        CASE is_nullable WHEN 'NO' THEN 'NOT NULL' END)) COLLATE \"C\"
    FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)
    WHERE table_schema = 'public' AND table_name <> 'seaql_migrations' AND table_type = 'BASE TABLE'
    ORDER BY 1";
