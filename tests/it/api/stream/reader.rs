//! A client of the stream, which sees each line.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::TryStreamExt;
use igstream::stream::names::STORED;
use reqwest::{Method, Response};
use serde_json::Value;
use tokio::time::timeout;
use uuid::Uuid;

use crate::api::client::{Client, account, deliver_comment};
use crate::support::{eventually::eventually, http::Answer, payloads::ACCOUNT, service::Service};

/// More than the 15 s after which a quiet stream says something.
const PATIENCE: Duration = Duration::from_secs(40);

/// An event with the lines it had.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Sent(pub(super) BTreeMap<String, String>);

impl Sent {
    pub(super) fn get(&self, field: &str) -> &str {
        self.0.get(field).map_or("", String::as_str)
    }

    pub(super) fn data(&self) -> Value {
        serde_json::from_str(self.get("data")).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub(super) fn sequence(&self) -> u64 {
        let (_, sequence) = self.get("id").split_once('-').expect("an id");
        sequence.parse().expect("a sequence")
    }
}

/// A stream that is read.
pub(super) struct Reader {
    response: Response,
    text: String,
}

impl Reader {
    pub(super) async fn open(
        client: &Client<'_>,
        account: Uuid,
        query: &str,
        last: Option<&str>,
    ) -> Self {
        let mut reader = Self::open_at(client, account, query, last).await;
        let first = reader.next().await;
        assert_eq!(first.get("retry"), "3000", "{first:?}");
        assert_eq!((first.get("event"), first.get("data")), ("", ""));
        assert!(last.is_none_or(|last| last == first.get("id")), "{first:?}");
        reader
    }

    /// The same, with what it says first still unread.
    pub(super) async fn open_at(
        client: &Client<'_>,
        account: Uuid,
        query: &str,
        last: Option<&str>,
    ) -> Self {
        let response = ask(client, account, query, last).await;
        let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(response.status(), 200);
        assert_eq!(header("content-type"), "text/event-stream");
        assert_eq!(header("cache-control"), "no-store");
        assert_eq!(header("x-accel-buffering"), "no");
        Self {
            response,
            text: String::new(),
        }
    }

    /// The next event; `None` at the end.
    pub(super) async fn try_next(&mut self) -> Option<Sent> {
        loop {
            if let Some(end) = self.text.find("\n\n") {
                let event: String = self.text.drain(..end + 2).collect();
                let lines = event.lines().filter_map(|line| line.split_once(": "));
                let fields = lines.filter(|(name, _)| !name.is_empty());
                let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
                let sent = Sent(fields.collect());
                if !sent.0.is_empty() {
                    return Some(sent);
                }
                continue;
            }
            let chunk = timeout(PATIENCE, self.response.chunk()).await;
            let chunk = chunk.expect("something comes in time");
            let chunk = chunk.expect("the stream ends as it must")?;
            self.text += std::str::from_utf8(&chunk).expect("whole characters");
        }
    }

    pub(super) async fn next(&mut self) -> Sent {
        self.try_next().await.expect("the stream goes on")
    }

    /// The next one that is about an event, or a gap.
    pub(super) async fn event(&mut self) -> Sent {
        loop {
            let sent = self.next().await;
            if !sent.get("data").is_empty() {
                return sent;
            }
        }
    }

    pub(super) async fn ids(&mut self, count: usize) -> Vec<String> {
        let mut ids = Vec::new();
        while ids.len() < count {
            let sent = self.event().await;
            ids.push(sent.data()["object_id"].as_str().expect("an id").to_owned());
        }
        ids
    }

    pub(super) async fn ends(&mut self) {
        while self.try_next().await.is_some() {}
    }
}

pub(super) async fn ask(
    client: &Client<'_>,
    account: Uuid,
    query: &str,
    last: Option<&str>,
) -> Response {
    let path = format!("/webhooks/stream/{account}{query}");
    let request = client.request(Method::GET, &path);
    let request = match last {
        Some(last) => request.header("Last-Event-ID", last),
        None => request,
    };
    request.send().await.expect("an answer")
}

pub(super) async fn refused(
    client: &Client<'_>,
    account: Uuid,
    query: &str,
    last: Option<&str>,
) -> Answer {
    let response = ask(client, account, query, last).await;
    Answer {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        body: response.text().await.expect("a body"),
    }
}

/// An account that has an event.
pub(super) async fn with_account(service: &Service) -> Uuid {
    deliver_comment(service, ACCOUNT, "early").await;
    service.streams().await.drained().await;
    account(service, ACCOUNT).await
}

/// Nobody reads the stream any more.
pub(super) async fn gone_consumers(service: &Service) {
    let streams = service.streams().await;
    eventually("no consumer is left", async || {
        let stored = streams.js.get_stream(STORED).await;
        let stored = stored.map_err(|error| error.to_string())?;
        let names: Result<Vec<String>, _> = stored.consumer_names().try_collect().await;
        match names.map_err(|error| error.to_string())?.as_slice() {
            [] => Ok(()),
            names => Err(format!("{names:?}")),
        }
    })
    .await;
}
