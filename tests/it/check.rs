//! `igstream check`: could the service start? It changes nothing.

use std::fs;

use async_nats::jetstream::stream::{Config, RetentionPolicy, StorageType};
use igstream::stream::names::{DELIVERIES, EVENTS, STORED};
use serde_json::Value;
use tokio::net::TcpListener;

use crate::support::{
    nats::{NatsServer, Streams},
    on_both,
    postgres::TestDatabase,
    service::{Service, said},
    setup::Setup,
};

on_both! {
    a_running_service_is_good,
    what_is_pending_is_wrong_only_where_nobody_applies_it,
}

/// What it found, and its exit code.
struct Checked {
    code: Option<i32>,
    report: Value,
}

impl Checked {
    async fn of(service: &Service) -> Self {
        let output = service.run(&["check", "--json"]).await;
        let report = serde_json::from_slice(&output.stdout);
        Self {
            code: output.status.code(),
            report: report.unwrap_or_else(|_| panic!("no JSON: {}", said(&output))),
        }
    }

    /// All that was found of something, each as `state: found`.
    fn about(&self, what: &str) -> Vec<String> {
        let findings = self.report["findings"].as_array().expect("a list");
        let of = findings.iter().filter(|finding| finding["what"] == what);
        of.map(|finding| {
            let (state, found) = (&finding["state"], &finding["found"]);
            format!("{}: {}", state.as_str().unwrap(), found.as_str().unwrap())
        })
        .collect()
    }

    /// The one finding of something.
    fn one(&self, what: &str) -> String {
        let mut found = self.about(what);
        assert_eq!(found.len(), 1, "{what}: {:#}", self.report);
        found.remove(0)
    }

    fn assert_one(&self, what: &str, parts: &[&str]) {
        let found = self.one(what);
        for part in parts {
            assert!(found.contains(part), "{part}: {what}: {found}");
        }
    }

    fn assert_code(&self, code: i32) {
        assert_eq!(self.code, Some(code), "{:#}", self.report);
        assert_eq!(self.report["could_start"], code == 0);
    }
}

async fn a_running_service_is_good(database: TestDatabase) {
    let service = Setup::managed(&database).start().await;
    service.streams().await.drained().await;
    let checked = Checked::of(&service).await;
    checked.assert_code(0);
    checked.assert_one("nats.listen", &["good", "our own nats-server runs"]);
    checked.assert_one("NATS", &["good", "answers"]);
    checked.assert_one("nats.durability", &["good", "fsync"]);
    checked.assert_one("server.bind", &["good", "an igstream runs"]);
    checked.assert_one("metrics.bind", &["good", "an igstream runs"]);
    checked.assert_one("schema", &["good", "up to date"]);
    checked.assert_one("database", &["good"]);
    checked.assert_one("clock", &["good"]);
    let streams = checked.about("stream");
    assert_eq!(streams.len(), 6, "{streams:?}");
    assert!(
        streams.iter().all(|found| found.starts_with("good")),
        "{streams:?}"
    );

    let table = service.run(&["check"]).await;
    let text = String::from_utf8_lossy(&table.stdout).into_owned();
    assert!(text.contains("✓ database"), "{text}");
    assert!(text.ends_with("The service can start.\n"), "{text}");
    assert!(!text.contains('\u{1b}'), "no colours: {text}");
    assert!(table.stderr.is_empty(), "{}", said(&table));
}

async fn what_is_pending_is_wrong_only_where_nobody_applies_it(database: TestDatabase) {
    let db = database.connect().await;
    migration::up(&db, Some(3)).await.unwrap();
    let service = Setup::managed(&database).not_started();
    let checked = Checked::of(&service).await;
    checked.assert_code(0);
    let pending = migration::status(&db).await.unwrap().len() - 3;
    checked.assert_one("schema", &["good", &format!("{pending} migration(s)")]);
    let service = Setup::managed(&database)
        .set("database.migrate_on_start", false)
        .not_started();
    let checked = Checked::of(&service).await;
    checked.assert_code(1);
    checked.assert_one("schema", &["wrong", "igstream migrate up"]);
    let status = migration::status(&db).await.unwrap();
    assert_eq!(status.iter().filter(|state| state.applied).count(), 3);
}

#[tokio::test]
async fn before_the_first_start_nothing_is_made() {
    let database = TestDatabase::sqlite().await;
    let service = Setup::managed(&database).not_started();
    let checked = Checked::of(&service).await;
    checked.assert_code(0);
    checked.assert_one("NATS", &["good", "started by"]);
    checked.assert_one("nats-server", &["good", "2."]);
    checked.assert_one("database", &["good", "made at the first start"]);
    for what in ["server.bind", "metrics.bind", "nats.listen"] {
        checked.assert_one(what, &["good", "is free"]);
    }
    let left: Vec<_> = fs::read_dir(service.file(".")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    let path = database.url().trim_start_matches("sqlite://");
    let path = path.split('?').next().unwrap();
    assert!(!fs::exists(path).unwrap());
}

#[tokio::test]
async fn what_is_away_or_taken_is_told_all_at_once() {
    let database = TestDatabase::sqlite().await;
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let also = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let service = Setup::managed(&database)
        .set("server.bind", taken.local_addr().unwrap())
        .set("nats.listen", also.local_addr().unwrap())
        .set("nats.server_binary", "/bin/echo")
        .set(
            "database.url",
            "postgres://user:hunter2@127.0.0.1:9/nowhere",
        )
        .set("database.acquire_timeout", "1s")
        .not_started();
    let checked = Checked::of(&service).await;
    checked.assert_code(1);
    checked.assert_one("server.bind", &["wrong", "something else listens"]);
    checked.assert_one("nats.listen", &["wrong", "something else listens"]);
    checked.assert_one("nats-server", &["wrong", "/bin/echo", "make tools"]);
    checked.assert_one("database", &["wrong", "127.0.0.1:9", "database.url"]);
    assert!(!checked.report.to_string().contains("hunter2"));

    let nowhere = Setup::managed(&database)
        .set("nats.mode", "external")
        .set("nats.url", "nats://user:hunter2@127.0.0.1:9")
        .not_started();
    let checked = Checked::of(&nowhere).await;
    checked.assert_code(1);
    checked.assert_one("NATS", &["wrong", "127.0.0.1:9", "nats.url"]);
    assert!(!checked.report.to_string().contains("hunter2"));
}

#[tokio::test]
async fn an_external_server_is_looked_into() {
    let database = TestDatabase::sqlite().await;
    let nats = NatsServer::start_with("sync_interval: \"10s\"").await;
    let streams = Streams::connect(&nats.url()).await;
    for (name, retention) in [
        (STORED, RetentionPolicy::Limits),
        (EVENTS, RetentionPolicy::WorkQueue),
    ] {
        let config = Config {
            name: name.to_owned(),
            subjects: vec![format!("{name}.>")],
            retention,
            ..Config::default()
        };
        streams.js.create_stream(config).await.expect("a stream");
    }
    let setup = || Setup::external(&nats, &database).set("nats.durability", "fsync");
    let checked = Checked::of(&setup().not_started()).await;
    checked.assert_code(1);
    checked.assert_one("JetStream", &["good", "2 stream(s)"]);
    // The server's default is 1 MiB, less than the limit's 4.
    checked.assert_one("max_payload", &["note", "983040 bytes"]);
    checked.assert_one("nats.durability", &["note", "nats.monitor_url"]);
    let found = checked.about("stream").join("\n");
    for part in [
        "wrong: the stream INSTAGRAM_EVENTS has retention",
        "note: INSTAGRAM_STORED differs in",
        "good: INSTAGRAM_DELIVERIES is not there",
    ] {
        assert!(found.contains(part), "{part}: {found}");
    }

    let seen = setup()
        .set("nats.monitor_url", nats.monitor_url())
        .set("stream.max_bytes", 1_i64 << 50)
        .set("stream.replicas", 3);
    let checked = Checked::of(&seen.not_started()).await;
    checked.assert_code(2);
    checked.assert_one("nats.durability", &["misconfigured", "every 10s"]);
    checked.assert_one("stream.replicas", &["misconfigured", "in no cluster"]);
    checked.assert_one("stream.max_bytes", &["note", "lower stream.max_bytes"]);
    assert_eq!(streams.count(STORED).await, 0);
    assert!(streams.js.get_stream("INSTAGRAM_DELIVERIES").await.is_err());
}

#[tokio::test]
async fn less_than_a_200_must_mean_is_found() {
    let database = TestDatabase::sqlite().await;
    let nats = NatsServer::start().await;
    let streams = Streams::connect(&nats.url()).await;
    let in_memory = Config {
        name: DELIVERIES.to_owned(),
        subjects: vec!["instagram.deliveries".to_owned()],
        storage: StorageType::Memory,
        ..Config::default()
    };
    streams.js.create_stream(in_memory).await.expect("a stream");
    let checked = Checked::of(&Setup::external(&nats, &database).not_started()).await;
    checked.assert_code(2);
    checked.assert_one(
        "nats.durability",
        &["misconfigured", DELIVERIES, "is memory"],
    );
    let asked = Setup::external(&nats, &database).set("stream.replicas", 3);
    let checked = Checked::of(&asked.not_started()).await;
    checked.assert_code(2);
    checked.assert_one("stream.replicas", &["misconfigured", "set stream.replicas"]);
}

#[tokio::test]
async fn a_wrong_configuration_is_told_whole() {
    let database = TestDatabase::sqlite().await;
    let service = Setup::managed(&database)
        .set("server.bind", "here")
        .set("stream.replicas", "many")
        .not_started();
    let checked = Checked::of(&service).await;
    checked.assert_code(2);
    let found = checked.about("configuration");
    assert_eq!(found.len(), 2, "{found:?}");
    let table = service.run(&["check"]).await;
    assert_eq!(table.status.code(), Some(2), "{}", said(&table));
    assert!(said(&table).contains("stream.replicas"), "{}", said(&table));

    let service = Setup::managed(&database)
        .set("instagram.app_secrets", "")
        .set("instagram.verify_token", "")
        .not_started();
    let checked = Checked::of(&service).await;
    checked.assert_code(2);
    assert_eq!(checked.about("secrets").len(), 2);
    // The rest was looked at all the same.
    checked.assert_one("nats.listen", &["good"]);
}

#[tokio::test]
async fn a_file_that_sqlite_cannot_use_is_told() {
    let database = TestDatabase::sqlite().await;
    for (url, part) in [
        ("sqlite://words.db/x.db?mode=rwc", "no directory"),
        ("sqlite://missing.db", "mode=rwc"),
        ("sqlite://words.db?mode=rwc", "words.db"),
    ] {
        let service = Setup::managed(&database)
            .set("database.url", url)
            .not_started();
        fs::write(
            service.file("words.db"),
            "these are words and no database, at some length",
        )
        .unwrap();
        let checked = Checked::of(&service).await;
        checked.assert_code(1);
        checked.assert_one("database", &["wrong", part]);
    }
}
