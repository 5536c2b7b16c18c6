//! The nats-server that igstream starts itself: never two on one directory, and nothing acknowledged is lost.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{self, Stdio},
    time::Duration,
};

use async_nats::jetstream;
use igstream::stream::managed::{self, DataDir, ManagedError, ManagedServer, Options};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpListener,
    process::{Child, Command},
    time::timeout,
};

use crate::support::{eventually::eventually_true, nats::server_binary};

const PATIENCE: Duration = Duration::from_secs(30);
const OTHER_IGSTREAM: &str = "IGSTREAM_TEST_STARTS_A_SERVER_IN";

fn options(data_dir: &Path) -> Options {
    Options {
        server_binary: None,
        data_dir: data_dir.to_owned(),
        listen: "127.0.0.1:0".to_owned(),
    }
}

fn kill(pid: u32) {
    kill_process(
        Pid::from_raw(pid.try_into().unwrap()).unwrap(),
        Signal::KILL,
    )
    .unwrap();
}

fn lives(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

async fn stream(url: &str) -> (jetstream::Context, jetstream::stream::Stream) {
    let js = jetstream::new(async_nats::connect(url).await.unwrap());
    let config = jetstream::stream::Config {
        name: "KEPT".to_owned(),
        subjects: vec!["kept".to_owned()],
        ..Default::default()
    };
    let stream = js.get_or_create_stream(config).await.unwrap();
    (js, stream)
}

async fn publish(js: &jetstream::Context, text: &'static str) {
    js.publish("kept", text.into())
        .await
        .unwrap()
        .await
        .unwrap();
}

async fn messages(url: &str) -> u64 {
    stream(url).await.1.info().await.unwrap().state.messages
}

/// Another process that starts a server as igstream does: this test binary, told to run [`other_igstream`] alone.
async fn another_igstream(data_dir: &Path) -> (Child, String) {
    let mut child = Command::new(env::current_exe().unwrap())
        .args([
            "managed_server::other_igstream",
            "--exact",
            "--ignored",
            "--nocapture",
        ])
        .env(OTHER_IGSTREAM, data_dir)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let url = async {
        loop {
            let line = lines
                .next_line()
                .await
                .unwrap()
                .expect("the other process started its server");
            if let Some((_, url)) = line.split_once("runs at ") {
                return url.to_owned();
            }
        }
    };
    let url = timeout(PATIENCE, url).await.unwrap();
    (child, url)
}

#[tokio::test]
#[ignore = "no test: the body of another process, started by tests that kill it"]
async fn other_igstream() {
    let Some(data_dir) = env::var_os(OTHER_IGSTREAM) else {
        return;
    };
    let server = ManagedServer::start(&options(Path::new(&data_dir)))
        .await
        .unwrap();
    println!("runs at {}", server.url());
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn starts_answers_and_stops() {
    let dir = TempDir::new().unwrap();
    let data_dir = dir.path().join("made/by/the/start");
    assert_eq!(managed::running(&data_dir), None);

    let server = ManagedServer::start(&options(&data_dir)).await.unwrap();
    let (url, pid) = (server.url().to_owned(), server.pid().unwrap());
    assert_eq!(managed::running(&data_dir), Some(url.clone()));
    let client = async_nats::connect(&url).await.unwrap();
    assert_eq!(client.server_info().max_payload, 9 * 1024 * 1024);

    let exit = server.stop().await;
    assert_eq!(exit.status, "exit status: 0", "{exit}");
    assert!(exit.log_tail.contains("Server Exiting"), "{exit}");
    assert!(!lives(pid));
    assert_eq!(managed::running(&data_dir), None);
}

#[tokio::test]
async fn what_was_acknowledged_survives_the_kill_of_the_server() {
    let dir = TempDir::new().unwrap();
    let options = options(dir.path());
    let mut server = ManagedServer::start(&options).await.unwrap();
    let url = server.url().to_owned();
    let (js, _) = stream(&url).await;
    for _ in 0..50 {
        publish(&js, "acknowledged").await;
    }

    kill(server.pid().unwrap());
    let exit = timeout(PATIENCE, server.wait()).await.unwrap();
    assert!(exit.status.contains("SIGKILL"), "{exit}");
    assert_eq!(managed::running(dir.path()), None);
    let data_dir = server.data_dir().clone();
    drop(server);

    let server = ManagedServer::start_in(&data_dir, &options).await.unwrap();
    assert_eq!(server.url(), url, "clients find it where it was");
    assert_eq!(messages(&url).await, 50);
    server.stop().await;
}

#[tokio::test]
async fn each_message_is_synced_before_it_is_acknowledged() {
    let dir = TempDir::new().unwrap();
    let server = ManagedServer::start(&options(dir.path())).await.unwrap();
    let conf = fs::read_to_string(dir.path().join("server.conf")).unwrap();
    assert!(
        conf.lines()
            .any(|line| line.trim() == "sync_interval: always"),
        "{conf}"
    );
    server.stop().await;
}

#[tokio::test]
async fn a_second_one_in_this_process_is_refused() {
    let dir = TempDir::new().unwrap();
    let options = options(dir.path());
    let server = ManagedServer::start(&options).await.unwrap();

    let error = ManagedServer::start(&options).await.unwrap_err();
    assert!(
        matches!(&error, ManagedError::DirectoryInUse { .. }),
        "{error}"
    );
    let error = ManagedServer::start_in(server.data_dir(), &options)
        .await
        .unwrap_err();
    assert!(
        matches!(&error, ManagedError::AlreadyRunning { .. }),
        "{error}"
    );

    assert!(lives(server.pid().unwrap()));
    server.stop().await;
}

#[tokio::test]
async fn a_living_igstream_keeps_its_directory() {
    let dir = TempDir::new().unwrap();
    let (other, url) = another_igstream(dir.path()).await;

    let error = ManagedServer::start(&options(dir.path()))
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains(&format!("process {}", other.id().unwrap())),
        "{error}"
    );
    assert!(
        error.contains(dir.path().to_str().unwrap()) && error.contains("nats.data_dir"),
        "{error}"
    );
    assert_eq!(
        managed::running(dir.path()),
        Some(url.clone()),
        "other commands reach its server"
    );

    publish(&stream(&url).await.0, "the server was not disturbed").await;
    end_with_its_server(other, dir.path()).await;
}

#[tokio::test]
async fn the_orphan_of_a_killed_igstream_is_taken_over() {
    let dir = TempDir::new().unwrap();
    let (mut other, url) = another_igstream(dir.path()).await;
    let orphan = recorded_pid(dir.path());
    publish(&stream(&url).await.0, "told to the orphan").await;
    other.kill().await.unwrap();
    assert!(lives(orphan), "a server outlives the kill of its igstream");
    assert_eq!(
        managed::running(dir.path()),
        Some(url.clone()),
        "and can be reached"
    );

    let options = options(dir.path());
    let mut server = start_within_patience(&options).await;
    assert_eq!((server.pid(), server.url()), (Some(orphan), url.as_str()));
    assert_eq!(messages(server.url()).await, 1);
    let error = ManagedServer::start(&options).await.unwrap_err();
    assert!(
        matches!(&error, ManagedError::DirectoryInUse { .. }),
        "{error}"
    );

    // It is watched without being a child.
    kill(orphan);
    let exit = timeout(PATIENCE, server.wait()).await.unwrap();
    assert!(exit.status.contains("not known"), "{exit}");
    assert_eq!(server.pid(), None);
    let data_dir = server.data_dir().clone();
    drop(server);
    let server = ManagedServer::start_in(&data_dir, &options).await.unwrap();
    assert_eq!(server.url(), url, "clients find it where it was");
    assert_eq!(messages(server.url()).await, 1);
    server.stop().await;
}

#[tokio::test]
async fn an_orphan_that_was_taken_over_is_stopped_like_another() {
    for is_dropped in [false, true] {
        let dir = TempDir::new().unwrap();
        let (mut other, _) = another_igstream(dir.path()).await;
        let orphan = recorded_pid(dir.path());
        other.kill().await.unwrap();
        let server = start_within_patience(&options(dir.path())).await;
        assert_eq!(server.pid(), Some(orphan));
        if is_dropped {
            drop(server);
            eventually_true("it is gone", async || !lives(orphan)).await;
        } else {
            let exit = server.stop().await;
            assert!(exit.log_tail.contains("Server Exiting"), "{exit}");
            assert!(!lives(orphan));
        }
        // What another test starts at this moment may hold the lock until it is another program.
        eventually_true("no server is told of", async || {
            managed::running(dir.path()).is_none()
        })
        .await;
    }
}

#[tokio::test]
async fn an_orphan_with_other_options_is_replaced() {
    let other_port = || {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().to_string()
    };
    for what in ["listen", "binary", "configuration"] {
        let dir = TempDir::new().unwrap();
        let (mut other, url) = another_igstream(dir.path()).await;
        let orphan = recorded_pid(dir.path());
        publish(&stream(&url).await.0, "told to the orphan").await;
        other.kill().await.unwrap();
        let mut options = options(dir.path());
        match what {
            "listen" => options.listen = other_port(),
            "binary" => {
                let copy = dir.path().join("another-nats-server");
                fs::copy(server_binary(), &copy).unwrap();
                options.server_binary = Some(copy);
            }
            _ => fs::write(dir.path().join("server.conf"), "# of an older igstream").unwrap(),
        }
        let server = start_within_patience(&options).await;
        assert!(!lives(orphan), "{what}");
        assert_eq!(messages(server.url()).await, 1, "{what}");
        server.stop().await;
    }
}

async fn start_within_patience(options: &Options) -> ManagedServer {
    let started = timeout(PATIENCE, ManagedServer::start(options)).await;
    started.unwrap().unwrap()
}

#[tokio::test]
async fn an_orphan_that_does_not_listen_to_reason_is_killed() {
    let dir = TempDir::new().unwrap();
    let (mut other, _) = another_igstream(dir.path()).await;
    let orphan = recorded_pid(dir.path());
    other.kill().await.unwrap();
    // Stopped, it does not even see SIGTERM.
    kill_process(
        Pid::from_raw(orphan.try_into().unwrap()).unwrap(),
        Signal::STOP,
    )
    .unwrap();

    let server = timeout(PATIENCE, ManagedServer::start(&options(dir.path())))
        .await
        .unwrap()
        .unwrap();
    assert!(!lives(orphan));
    server.stop().await;
}

#[tokio::test]
async fn a_process_that_is_not_our_server_is_never_ended() {
    let dir = TempDir::new().unwrap();
    drop(DataDir::open(dir.path()).unwrap());
    let lock = fs::File::create(dir.path().join("server.lock")).unwrap();
    lock.try_lock().unwrap();
    let mut stranger = process::Command::new("sleep")
        .arg("600")
        .stdin(lock)
        .spawn()
        .unwrap();

    let error = ManagedServer::start(&options(dir.path()))
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains(&format!("process {}", stranger.id())),
        "{error}"
    );
    assert!(stranger.try_wait().unwrap().is_none(), "it still runs");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let dir = TempDir::new().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    let error = ManagedServer::start(&Options {
        listen: listen.clone(),
        ..options(dir.path())
    })
    .await
    .unwrap_err();
    assert!(matches!(&error, ManagedError::PortTaken { .. }), "{error}");
    let error = error.to_string();
    assert!(
        error.contains(&listen) && error.contains("IGSTREAM__NATS__LISTEN"),
        "{error}"
    );
}

#[tokio::test]
async fn a_missing_binary_is_named_with_the_mend() {
    let dir = TempDir::new().unwrap();
    let absent = PathBuf::from("/nowhere/nats-server");
    let error = ManagedServer::start(&Options {
        server_binary: Some(absent),
        ..options(dir.path())
    })
    .await;
    let error = error.unwrap_err().to_string();
    for part in [
        "/nowhere/nats-server",
        "nats.server_binary",
        "IGSTREAM__NATS__SERVER_BINARY",
        "make tools",
    ] {
        assert!(error.contains(part), "{part} is not in: {error}");
    }
}

#[tokio::test]
async fn a_server_that_cannot_start_shows_its_last_words() {
    let dir = TempDir::new().unwrap();
    // Its store is a file.
    fs::write(dir.path().join("jetstream"), "in the way").unwrap();
    let error = ManagedServer::start(&options(dir.path()))
        .await
        .unwrap_err();
    assert!(matches!(&error, ManagedError::Ended(_)), "{error}");
    assert!(
        error
            .to_string()
            .contains("storage directory is not a directory"),
        "{error}"
    );
}

#[tokio::test]
async fn a_dropped_server_is_gone_and_the_directory_free() {
    let dir = TempDir::new().unwrap();
    let server = ManagedServer::start(&options(dir.path())).await.unwrap();
    let pid = server.pid().unwrap();
    drop(server);
    let next = ManagedServer::start(&options(dir.path())).await.unwrap();
    assert!(!lives(pid));
    next.stop().await;
}

fn recorded_pid(data_dir: &Path) -> u32 {
    let record: serde_json::Value =
        serde_json::from_slice(&fs::read(data_dir.join("server.json")).unwrap()).unwrap();
    serde_json::from_value(record["pid"].clone()).unwrap()
}

async fn end_with_its_server(mut other: Child, data_dir: &Path) {
    other.kill().await.unwrap();
    kill(recorded_pid(data_dir));
}
