//! `igstream tail`: events as they are stored.

use std::process::Stdio;
use std::time::Duration;

use igstream::instagram::types;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStderr, ChildStdout},
    time::timeout,
};

use crate::support::{
    on_both,
    payloads::{ACCOUNT, changes, comment, mention, one_comment, one_mention},
    postgres::TestDatabase,
    service::{STOPS_WITHIN, Service, said, signal_process},
    setup::Setup,
};

const OTHER: &str = "17841400000000002";

on_both! {
    shows_what_is_stored_from_now_on_and_of_late,
}

/// A tail that runs. It ends with this value.
struct Tail {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
    log: Lines<BufReader<ChildStderr>>,
}

impl Tail {
    /// Starts one, and returns when it is connected.
    async fn start(service: &Service, arguments: &[&str]) -> Self {
        let mut process = service
            .command(&[&["tail"], arguments].concat())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("igstream runs");
        let stdout = process.stdout.take().expect("its output");
        let stderr = process.stderr.take().expect("its log");
        let mut tail = Self {
            process,
            lines: BufReader::new(stdout).lines(),
            log: BufReader::new(stderr).lines(),
        };
        tail.says("following").await;
        tail
    }

    async fn says(&mut self, what: &str) {
        loop {
            let line = timeout(2 * STOPS_WITHIN, self.log.next_line()).await;
            let line = line.expect("in time").expect("a log");
            if line.expect("it goes on").contains(what) {
                return;
            }
        }
    }

    async fn line(&mut self) -> String {
        let line = timeout(2 * STOPS_WITHIN, self.lines.next_line()).await;
        line.expect("in time").expect("a line").expect("it goes on")
    }

    async fn json(&mut self) -> Value {
        let line = self.line().await;
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("no JSON: {line}"))
    }

    async fn stop(mut self, signal: Signal) -> Option<i32> {
        signal_process(self.process.id().expect("it runs"), signal);
        let status = timeout(STOPS_WITHIN, self.process.wait()).await;
        status.expect("in time").expect("a status").code()
    }
}

async fn shows_what_is_stored_from_now_on_and_of_late(database: TestDatabase) {
    let service = Setup::managed(&database).start().await;
    let streams = service.streams().await;
    service.deliver(&one_comment("early")).await;
    streams.drained().await;

    let mut all = Tail::start(&service, &[]).await;
    let mut mentions =
        Tail::start(&service, &["--type", "mention,comment,mention", "--json"]).await;
    let mut of_other = Tail::start(&service, &["--account", OTHER, "--json"]).await;
    service.deliver(&one_comment("late")).await;
    let line = all.line().await;
    for part in [
        " comment ",
        ACCOUNT,
        "comment_late_4711",
        "from ann",
        "instagram_comments/late",
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }
    assert!(!line.contains('\u{1b}'), "no colours: {line}");
    // Told twice it is stored once.
    service.deliver(&one_comment("late")).await;
    service
        .deliver(&changes(OTHER, &[mention("17")]).to_string())
        .await;
    assert!(all.line().await.contains("mention_17_-_-"));
    assert_eq!(mentions.json().await["event_id"], "comment_late_4711");
    assert_eq!(mentions.json().await["ig_account_id"], OTHER);
    assert_eq!(of_other.json().await["event_type"], "mention");

    let mut since = Tail::start(&service, &["--since", "1h", "--type", "comment"]).await;
    assert!(since.line().await.contains("comment_early_4711"));
    assert!(since.line().await.contains("comment_late_4711"));
    assert_eq!(since.stop(Signal::INT).await, Some(0));
    assert_eq!(all.stop(Signal::TERM).await, Some(0));
}

#[tokio::test]
async fn dead_letters_are_shown_with_their_reason() {
    let database = TestDatabase::sqlite().await;
    let service = Setup::managed(&database).start().await;
    let mut lines = Tail::start(&service, &["--dead"]).await;
    let mut json = Tail::start(&service, &["--dead", "--json"]).await;
    // Written with line breaks, which its line must not have.
    let nameless = json!({ "field": "comments", "value": { "text": "no id" } });
    let body =
        serde_json::to_string_pretty(&changes(ACCOUNT, &[comment("good"), nameless])).unwrap();
    service.deliver(&body).await;
    let line = lines.line().await;
    assert!(
        line.contains("unknown") && line.contains("dead after"),
        "{line}"
    );
    assert!(line.contains("a comment without"), "{line}");
    let body = json.json().await;
    assert_eq!(body["raw"]["value"]["text"], "no id");
}

#[tokio::test]
async fn goes_on_where_it_was_when_nats_was_away() {
    let database = TestDatabase::sqlite().await;
    let service = Setup::managed(&database).start().await;
    let streams = service.streams().await;
    service.deliver(&one_comment("before")).await;
    streams.drained().await;
    // One that has seen a message, and one that has not.
    let mut comments = Tail::start(&service, &["--type", "comment", "--json"]).await;
    let mut mentions = Tail::start(&service, &["--type", "mention", "--json"]).await;
    service.deliver(&one_comment("seen")).await;
    assert_eq!(comments.json().await["object_id"], "seen");

    service.kill_nats().await;
    service.deliver(&one_comment("after")).await;
    service.deliver(&one_mention("after")).await;
    assert_eq!(comments.json().await["object_id"], "after");
    assert_eq!(mentions.json().await["event_type"], "mention");
}

#[tokio::test]
async fn whoever_has_seen_enough_ends_it() {
    let database = TestDatabase::sqlite().await;
    let service = Setup::managed(&database).start().await;
    let Tail {
        mut process, lines, ..
    } = Tail::start(&service, &[]).await;
    drop(lines);
    service.deliver(&one_comment("nobody reads")).await;
    let status = timeout(STOPS_WITHIN, process.wait()).await;
    assert_eq!(status.expect("in time").expect("a status").code(), Some(0));
}

#[tokio::test]
async fn what_it_cannot_do_it_says() {
    let database = TestDatabase::sqlite().await;
    let service = Setup::managed(&database).not_started();
    let refused = service.run(&["tail", "--type", "comment,like"]).await;
    assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
    assert!(said(&refused).contains("like"), "{}", said(&refused));
    for event_type in types::with_unknown() {
        assert!(
            said(&refused).contains(event_type.name),
            "{}",
            said(&refused)
        );
    }
    for wrong in [["--since", "yesterday"], ["--account", "a b"]] {
        let refused = service.run(&[&["tail"], &wrong[..]].concat()).await;
        assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
        assert!(said(&refused).contains(wrong[1]), "{}", said(&refused));
    }

    let alone = timeout(Duration::from_secs(20), service.run(&["tail"])).await;
    let alone = alone.expect("it does not wait");
    assert_eq!(alone.status.code(), Some(1), "{}", said(&alone));
    assert!(said(&alone).contains("nats.data_dir"), "{}", said(&alone));
    assert!(said(&alone).contains("igstream serve"), "{}", said(&alone));

    let nowhere = Setup::managed(&database)
        .set("nats.mode", "external")
        .set("nats.url", "nats://127.0.0.1:9")
        .not_started();
    let nowhere = timeout(Duration::from_secs(20), nowhere.run(&["tail"])).await;
    let nowhere = nowhere.expect("it does not wait");
    assert_eq!(nowhere.status.code(), Some(1), "{}", said(&nowhere));
    assert!(said(&nowhere).contains("nats.url"), "{}", said(&nowhere));
}
