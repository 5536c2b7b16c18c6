//! Databases of a test's own.

use std::{env, path::Path, thread};

use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbErr};
use tempfile::TempDir;
use uuid::Uuid;

use super::postgres_server::PostgresServer;

const NO_SERVER: &str = "the tests need a PostgreSQL server: run `make test`, which starts one, or name \
    one by DATABASE_URL, such as postgres://user@localhost/postgres?host=/path/to/socket, as a user \
    who may create databases";

/// An empty database that nobody else uses. It goes with this value, also when the test panics.
pub struct TestDatabase {
    url: String,
    home: Home,
}

enum Home {
    /// A database on the server that `admin` names.
    Postgres { admin: String, name: String },
    /// It goes with its server, or with its disk.
    SomebodyElses,
    /// The directory is held for its drop.
    Sqlite(#[expect(dead_code, reason = "removes the directory when dropped")] TempDir),
}

impl TestDatabase {
    /// A database on the server that `DATABASE_URL` names.
    pub async fn postgres() -> Self {
        let admin = env::var("DATABASE_URL").unwrap_or_else(|_| panic!("{NO_SERVER}"));
        let name = format!("igstream_test_{}", Uuid::now_v7().simple());
        run(&admin, &format!("CREATE DATABASE {name}"))
            .await
            .unwrap_or_else(|error| panic!("cannot create a test database: {error}; {NO_SERVER}"));
        Self {
            url: with_database(&admin, &name),
            home: Home::Postgres { admin, name },
        }
    }

    /// A database on a server of the test's own, which it goes with; `options` as in `CREATE DATABASE`.
    pub async fn on(server: &PostgresServer, options: &str) -> Self {
        let admin = server.url();
        run(&admin, &format!("CREATE DATABASE igstream {options}"))
            .await
            .unwrap_or_else(|error| panic!("cannot create a database: {error}"));
        Self {
            url: with_database(&admin, "igstream"),
            home: Home::SomebodyElses,
        }
    }

    /// A file in this directory, with which it goes.
    pub fn sqlite_in(directory: &Path) -> Self {
        Self {
            url: format!(
                "sqlite://{}?mode=rwc",
                directory.join("igstream.db").display()
            ),
            home: Home::SomebodyElses,
        }
    }

    /// A file in a directory of its own.
    #[expect(clippy::unused_async, reason = "made like the other one")]
    pub async fn sqlite() -> Self {
        let directory = TempDir::with_prefix("igstream_test_").expect("a temporary directory");
        let file = directory.path().join("igstream.db");
        Self {
            url: format!("sqlite://{}?mode=rwc", file.display()),
            home: Home::Sqlite(directory),
        }
    }

    /// The URL to give the program under test.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A small pool of connections, made plainly.
    pub async fn connect(&self) -> DatabaseConnection {
        connect(self.url())
            .await
            .expect("the test database can be connected to")
    }

    /// The same, with the whole schema.
    pub async fn migrated(&self) -> DatabaseConnection {
        let db = self.connect().await;
        migration::up(&db, None)
            .await
            .expect("the test database can be migrated");
        db
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let Home::Postgres { admin, name } = &self.home else {
            return;
        };
        let admin = admin.clone();
        // FORCE: a failed test leaves its connections open.
        let statement = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
        // A thread of its own, since the test's runtime cannot be blocked on from within, and may
        // be going down.
        let dropped = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime
                .block_on(run(&admin, &statement))
                .map_err(std::io::Error::other)
        })
        .join();
        // Not a panic: one while another unwinds would abort all tests.
        if !matches!(dropped, Ok(Ok(()))) {
            eprintln!("the test database {name} is left behind: {dropped:?}");
        }
    }
}

/// Runs a statement by a connection of its own.
pub async fn run(url: &str, statement: &str) -> Result<(), DbErr> {
    let db = connect(url).await?;
    db.execute_unprepared(statement).await?;
    db.close().await
}

/// A small pool of connections, made plainly.
pub async fn connect(url: &str) -> Result<DatabaseConnection, DbErr> {
    let mut options = ConnectOptions::new(url);
    options.max_connections(4).sqlx_logging(false);
    Database::connect(options).await
}

/// `admin` with another database's name: the path, between the host and the query.
fn with_database(admin: &str, name: &str) -> String {
    let (base, query) = admin.split_once('?').unwrap_or((admin, ""));
    let after_scheme = base.find("://").map_or(0, |at| at + 3);
    let server = base[after_scheme..]
        .find('/')
        .map_or(base, |at| &base[..after_scheme + at]);
    if query.is_empty() {
        format!("{server}/{name}")
    } else {
        format!("{server}/{name}?{query}")
    }
}
