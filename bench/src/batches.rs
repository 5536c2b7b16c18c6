//! What `JetStream` takes at most of messages that each have a subject of their own: the messages that igstream
//! published, sent again as they are, in atomic batches of a thousand. Source: NATS ADR-50.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use async_nats::HeaderMap;
use async_nats::jetstream::{self, consumer, stream};
use bytes::Bytes;
use futures::StreamExt as _;
use igstream::stream::names::EVENTS;
use uuid::Uuid;

use crate::plan::size;

const BATCH: usize = 1000;

/// A message as it was published.
#[derive(Debug, Clone)]
pub struct Published {
    subject: String,
    headers: HeaderMap,
    body: Bytes,
}

/// Everything in the stream of events.
pub async fn read(js: &jetstream::Context) -> Result<Vec<Published>> {
    let stream = js.get_stream(EVENTS).await?;
    let all = usize::try_from(stream.cached_info().state.messages)?;
    let config = consumer::pull::OrderedConfig::default();
    let mut messages = stream.create_consumer(config).await?.messages().await?;
    let mut published = Vec::with_capacity(all);
    while published.len() < all {
        let message = messages.next().await.context("the messages end")??;
        published.push(Published {
            subject: format!("limit.{}", message.subject),
            headers: own_headers(&message.headers.clone().unwrap_or_default()),
            body: message.payload.clone(),
        });
    }
    Ok(published)
}

/// Without those of the batch that they came in.
fn own_headers(headers: &HeaderMap) -> HeaderMap {
    let mut own = HeaderMap::new();
    for (name, values) in headers.iter() {
        if name.to_string().starts_with("Nats-Batch") {
            continue;
        }
        for value in values {
            own.append(name.clone(), value.clone());
        }
    }
    own
}

/// Sends `messages` to a stream of their own: messages a second.
pub async fn speed(js: &jetstream::Context, messages: &[Published]) -> Result<f64> {
    js.create_stream(stream::Config {
        name: "LIMIT".to_owned(),
        subjects: vec!["limit.>".to_owned()],
        allow_atomic_publish: true,
        ..Default::default()
    })
    .await?;
    let begun = Instant::now();
    for batch in messages.chunks(BATCH) {
        send(js, batch).await?;
    }
    let speed = size(messages.len()) / begun.elapsed().as_secs_f64();
    js.delete_stream("LIMIT").await?;
    Ok(speed)
}

async fn send(js: &jetstream::Context, batch: &[Published]) -> Result<()> {
    let client = js.client();
    let id = Uuid::now_v7().simple().to_string();
    let (last, members) = batch.split_last().context("an empty batch")?;
    let within = |message: &Published, sequence: usize| {
        let mut headers = message.headers.clone();
        headers.insert("Nats-Batch-Id", id.as_str());
        headers.insert("Nats-Batch-Sequence", sequence.to_string());
        headers
    };
    for (message, sequence) in members.iter().zip(1..) {
        let headers = within(message, sequence);
        client
            .publish_with_headers(message.subject.clone(), headers, message.body.clone())
            .await?;
    }
    let mut headers = within(last, batch.len());
    headers.insert("Nats-Batch-Commit", "1");
    let answer = client
        .request_with_headers(last.subject.clone(), headers, last.body.clone())
        .await?;
    let answer = String::from_utf8_lossy(&answer.payload);
    ensure!(
        !answer.contains("\"error\""),
        "a batch was refused: {answer}"
    );
    Ok(())
}
