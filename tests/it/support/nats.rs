//! A nats-server that somebody else runs, and what is in its streams.

use std::{
    collections::BTreeMap,
    env, fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use async_nats::{
    HeaderMap,
    jetstream::{
        self,
        consumer::{Info, pull},
        stream::{Config, DirectGetErrorKind, LastRawMessageErrorKind},
    },
};
use bytes::Bytes;
use futures::StreamExt;
use igstream::{
    instagram::types,
    stream::{
        Connection, ConnectionOptions,
        names::{DELIVERIES, EVENTS},
        topology::{StreamSettings, Topology},
    },
};
use rustix::process::Signal;
use serde_json::{Map, Value, json, value::RawValue};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::{
    eventually::{eventually, until_none_is_left},
    ports::free_address,
    service::signal_process,
};

/// The nats-server on `PATH`, or that of `make tools`.
pub fn server_binary() -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools/bin");
    env::split_paths(&path)
        .chain([tools])
        .map(|directory| directory.join("nats-server"))
        .find(|binary| binary.is_file())
        .expect("a nats-server: run `make tools`")
}

/// A sync before each acknowledgement.
pub(super) const ALWAYS: &str = "sync_interval: always";

/// A server of its own, which syncs before it acknowledges. It goes with this value.
pub struct NatsServer {
    home: TempDir,
    address: SocketAddr,
    monitor: SocketAddr,
    process: Option<Child>,
}

impl NatsServer {
    pub async fn start() -> Self {
        Self::start_with(ALWAYS).await
    }

    /// With these settings of its `JetStream`.
    pub async fn start_with(settings: &str) -> Self {
        let mut server = Self::prepared(None, settings, "");
        server.start_again().await;
        server
    }

    /// With its store in a directory of the test's.
    pub async fn start_in(directory: &Path) -> Self {
        let mut server = Self::prepared(Some(directory), ALWAYS, "");
        server.start_again().await;
        server
    }

    /// Not started: its store, where it is to be elsewhere, settings of its `JetStream`, and others.
    pub(super) fn prepared(store: Option<&Path>, settings: &str, others: &str) -> Self {
        let home = TempDir::with_prefix("igstream_test_").expect("a temporary directory");
        let address = free_address();
        let monitor = free_address();
        let store = store.unwrap_or(home.path()).join("jetstream");
        let conf = format!(
            "listen: \"{address}\"\nhttp: \"{monitor}\"\njetstream {{ store_dir: \"{}\", {settings} }}\n{others}",
            store.display()
        );
        fs::write(home.path().join("server.conf"), conf).expect("the configuration is written");
        Self {
            home,
            address,
            monitor,
            process: None,
        }
    }

    /// On the same address, with the same data.
    pub async fn start_again(&mut self) {
        self.spawn();
        self.until_it_answers().await;
    }

    pub(super) fn spawn(&mut self) {
        let log = fs::File::create(self.home.path().join("log")).expect("a log");
        let process = Command::new(server_binary())
            .arg("--config")
            .arg(self.home.path().join("server.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .expect("nats-server starts");
        self.process = Some(process);
    }

    pub(super) async fn until_it_answers(&self) {
        eventually("nats-server answers", async || {
            let js = jetstream::new(
                async_nats::connect(self.url())
                    .await
                    .map_err(|error| error.to_string())?,
            );
            js.query_account()
                .await
                .map(drop)
                .map_err(|error| error.to_string())
        })
        .await;
    }

    /// As a machine does that loses its power.
    pub async fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().await.expect("nats-server is killed");
        }
    }

    /// As an operator does.
    pub async fn stop(&mut self) {
        signal_process(self.process_id(), Signal::TERM);
        let mut process = self.process.take().expect("it runs");
        process.wait().await.expect("nats-server ends");
    }

    pub fn process_id(&self) -> u32 {
        let process = self.process.as_ref().and_then(Child::id);
        process.expect("it runs")
    }

    pub fn url(&self) -> String {
        format!("nats://{}", self.address)
    }

    /// Where it tells of itself over HTTP.
    pub fn monitor_url(&self) -> String {
        format!("http://{}", self.monitor)
    }
}

/// A message as a subscriber finds it.
#[derive(Debug)]
pub struct Found {
    pub subject: String,
    pub headers: HeaderMap,
    /// Null where it is no JSON, or such as few programs take.
    pub body: Value,
    /// The body as it is.
    pub payload: Bytes,
}

impl Found {
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .unwrap_or_else(|| panic!("no header {name} in {self:?}"))
            .as_str()
    }

    pub fn text(&self, field: &str) -> &str {
        self.body[field].as_str().unwrap_or_default()
    }
}

/// A body, read; `raw` is the item as Instagram sent it, which Rust cannot hold where half an emoji is in
/// it: it is null then.
fn read(payload: &[u8]) -> serde_json::Result<Value> {
    let fields: BTreeMap<String, &RawValue> = serde_json::from_slice(payload)?;
    let read = fields.into_iter().map(|(name, field)| {
        let value = serde_json::from_str(field.get());
        let value = if name == "raw" {
            Ok(value.unwrap_or_default())
        } else {
            value
        };
        value.map(|value| (name, value))
    });
    read.collect::<Result<Map<_, _>, _>>().map(Value::Object)
}

/// The streams, seen from outside.
pub struct Streams {
    pub js: jetstream::Context,
}

impl Streams {
    /// By one URL, or several with commas between them.
    pub async fn connect(url: &str) -> Self {
        let urls: Vec<&str> = url.split(',').collect();
        let client = async_nats::connect(urls.as_slice())
            .await
            .unwrap_or_else(|error| panic!("{url}: {error}"));
        Self {
            js: jetstream::new(client),
        }
    }

    pub async fn config(&self, stream: &str) -> Config {
        let stream = self
            .js
            .get_stream(stream)
            .await
            .unwrap_or_else(|error| panic!("{stream}: {error}"));
        stream.cached_info().config.clone()
    }

    /// How many messages the stream holds; none if it is not there.
    pub async fn count(&self, stream: &str) -> u64 {
        match self.js.get_stream(stream).await {
            Ok(stream) => stream.cached_info().state.messages,
            Err(_) => 0,
        }
    }

    /// The last message of a subject, if there is one.
    pub async fn last(&self, stream: &str, subject: &str) -> Option<Found> {
        let stream = self.js.get_stream_no_info(stream).await.expect("a stream");
        match stream.direct_get_last_for_subject(subject).await {
            Ok(message) => Some(Found {
                subject: message.subject.to_string(),
                headers: message.headers,
                body: read(&message.payload).expect("a body of JSON"),
                payload: message.payload,
            }),
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => None,
            Err(error) => panic!("{subject}: {error}"),
        }
    }

    /// Every message of the stream, in its order. The journal's are no JSON: their body is null.
    pub async fn messages(&self, stream: &str) -> Vec<Found> {
        let count = usize::try_from(self.count(stream).await).expect("a number of messages");
        if count == 0 {
            return Vec::new();
        }
        let stream = self.js.get_stream(stream).await.expect("a stream");
        let consumer = stream
            .create_consumer(pull::OrderedConfig::default())
            .await
            .expect("a consumer");
        let messages = consumer.messages().await.expect("messages").take(count);
        messages
            .map(|message| {
                let message = message.expect("a message");
                Found {
                    subject: message.subject.to_string(),
                    headers: message.headers.clone().unwrap_or_default(),
                    body: read(&message.payload).unwrap_or_default(),
                    payload: message.payload.clone(),
                }
            })
            .collect()
            .await
    }

    pub async fn consumer(&self, stream: &str, consumer: &str) -> Result<Info, String> {
        let info: jetstream::response::Response<Info> = self
            .js
            .request(format!("CONSUMER.INFO.{stream}.{consumer}"), &json!({}))
            .await
            .map_err(|error| error.to_string())?;
        match info {
            jetstream::response::Response::Ok(info) => Ok(info),
            jetstream::response::Response::Err { error } => Err(error.to_string()),
        }
    }

    /// Waits until nothing waits for the service any more. The publisher is asked first: what it has acknowledged
    /// waits for a handler or is done, and a handler acknowledges last of all. What waits is told by the streams'
    /// last messages: a server under load counts for its consumers a little later than it acknowledges.
    pub async fn drained(&self) {
        until_none_is_left("all events are processed", async || {
            let mut left = 0;
            for (stream, consumer) in own_consumers() {
                let info = self.consumer(stream, &consumer).await?;
                let last = self
                    .last_sequence(stream, &info.config.filter_subject)
                    .await?;
                let floor = info.ack_floor.stream_sequence;
                left += u64::from(last > floor) + info.num_pending + info.num_ack_pending as u64;
            }
            Ok(left)
        })
        .await;
    }

    /// The sequence of the last message of the subjects; 0 if there is none.
    async fn last_sequence(&self, stream: &str, subjects: &str) -> Result<u64, String> {
        let stream = self.js.get_stream_no_info(stream).await;
        let stream = stream.map_err(|error| error.to_string())?;
        match stream.get_last_raw_message_by_subject(subjects).await {
            Ok(message) => Ok(message.sequence),
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(0),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// The service's own consumers in the order of an event's way, each with its stream.
pub fn own_consumers() -> impl Iterator<Item = (&'static str, String)> {
    let handlers =
        types::with_unknown().map(|event_type| (EVENTS, format!("handler-{}", event_type.name)));
    std::iter::once((DELIVERIES, "publisher".to_owned())).chain(handlers)
}

/// A connection to the server, and the streams as they are to be, none made yet.
pub async fn connected(server: &NatsServer) -> (Connection, Topology) {
    let options = ConnectionOptions {
        urls: vec![server.url()],
        ..ConnectionOptions::default()
    };
    let connection = Connection::open(&options).await.unwrap();
    let topology = Topology::new(StreamSettings {
        replicas: 1,
        keep_days: 1,
        max_bytes: 64 * 1024 * 1024,
        duplicate_window: Duration::from_mins(2),
    })
    .unwrap();
    (connection, topology)
}
