//! How igstream is started: its settings, each of which has a value that suits a test.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

use tempfile::TempDir;

use super::{
    http::{SECRETS, VERIFY_TOKEN},
    nats::{NatsServer, server_binary},
    ports::free_address,
    postgres::TestDatabase,
    service::Service,
};

/// How an igstream is to be started.
pub struct Setup {
    pub(super) home: TempDir,
    pub(super) settings: BTreeMap<String, String>,
    pub(super) environment: BTreeMap<String, String>,
    pub(super) roles: Option<&'static str>,
}

impl Setup {
    /// With a nats-server of igstream's own.
    pub fn managed(database: &TestDatabase) -> Self {
        let setup = Self::new(database);
        let data_dir = setup.data_dir();
        setup
            .set("nats.mode", "managed")
            .set("nats.listen", free_address())
            .set("nats.server_binary", server_binary().display())
            .set("nats.data_dir", data_dir.display())
    }

    /// With a nats-server that somebody else runs.
    pub fn external(nats: &NatsServer, database: &TestDatabase) -> Self {
        Self::external_at(&nats.url(), database)
    }

    /// With servers that somebody else runs, at these URLs with commas between them.
    pub fn external_at(urls: &str, database: &TestDatabase) -> Self {
        Self::new(database)
            .set("nats.mode", "external")
            .set("nats.url", urls)
    }

    fn new(database: &TestDatabase) -> Self {
        let setup = Self {
            home: TempDir::with_prefix("igstream_test_").expect("a temporary directory"),
            settings: BTreeMap::new(),
            environment: BTreeMap::new(),
            roles: None,
        };
        setup
            .set("server.bind", free_address())
            .set("metrics.bind", free_address())
            .set("instagram.app_secrets", SECRETS.join(","))
            .set("instagram.verify_token", VERIFY_TOKEN)
            .set("database.url", database.url())
            .set("accounts.auto_register", true)
            // The server reserves it.
            .set("stream.max_bytes", 128 * 1024 * 1024)
            .set("log.format", "text")
    }

    /// A key of the configuration, as in its file.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "reads better where it is called"
    )]
    pub fn set(mut self, key: &str, value: impl ToString) -> Self {
        self.settings.insert(key.to_owned(), value.to_string());
        self
    }

    /// A variable of the environment.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    pub fn roles(mut self, roles: &'static str) -> Self {
        self.roles = Some(roles);
        self
    }

    /// Starts it, and returns when it is ready.
    pub async fn start(self) -> Service {
        let mut service = self.not_started();
        service.start_again().await;
        service
    }

    /// Starts it, and waits for it to give up: its exit code and what it said.
    pub async fn gives_up(self) -> (Option<i32>, String) {
        let mut service = self.not_started();
        service.spawn();
        let code = service.ended().await;
        (code, service.log())
    }

    /// Starts nothing: for other commands than `serve`.
    pub fn not_started(self) -> Service {
        Service::new(self)
    }

    pub(super) fn address(&self, key: &str) -> SocketAddr {
        self.settings[key].parse().expect("an address")
    }

    /// Where its own nats-server stores.
    pub(super) fn data_dir(&self) -> PathBuf {
        self.home.path().join("nats")
    }
}
