//! Deliveries that wait in the journal, and events that wait in their stream.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use async_nats::HeaderMap;
use async_nats::jetstream;
use bytes::Bytes;
use chrono::Utc;
use igstream::instagram::{Delivery, types};
use igstream::journal;
use igstream::receiver::FRAME_BYTES;
use igstream::stream::names::{DELIVERIES_SUBJECT, EVENTS, MESSAGE_ID};
use uuid::Uuid;

use crate::plan::count;

/// How often a counter is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Nothing that is measured takes longer.
pub const PATIENCE: Duration = Duration::from_mins(20);

/// Writes `bodies` into the journal, packed as the receiver does under load.
pub async fn fill_journal(js: &jetstream::Context, bodies: &[Bytes]) -> Result<()> {
    let mut frame: Vec<Delivery> = Vec::new();
    let mut bytes = 0;
    for body in bodies {
        let delivery = Delivery {
            id: Uuid::now_v7(),
            received_at: Utc::now(),
            signature: "sha256=made-by-the-benchmark".to_owned(),
            secret_id: "bench".to_owned(),
            body: body.clone(),
        };
        bytes += journal::weight(&delivery);
        frame.push(delivery);
        if frame.len() == 1000 || bytes > FRAME_BYTES - 8192 {
            write(js, &frame).await?;
            frame.clear();
            bytes = 0;
        }
    }
    write(js, &frame).await
}

async fn write(js: &jetstream::Context, frame: &[Delivery]) -> Result<()> {
    let mut headers = HeaderMap::new();
    headers.insert(MESSAGE_ID, Uuid::now_v7().to_string());
    js.publish_with_headers(DELIVERIES_SUBJECT, headers, journal::pack(frame)?)
        .await?
        .await?;
    Ok(())
}

/// How many messages a stream holds.
pub async fn messages(js: &jetstream::Context, stream: &str) -> Result<u64> {
    Ok(js.get_stream(stream).await?.cached_info().state.messages)
}

/// What the handlers have not acknowledged yet; `None` where they have not come up.
pub async fn waiting(js: &jetstream::Context) -> Result<Option<u64>> {
    let stream = js.get_stream_no_info(EVENTS).await?;
    let mut waiting = 0;
    for event_type in types::with_unknown() {
        let Ok(info) = stream
            .consumer_info(format!("handler-{}", event_type.name))
            .await
        else {
            return Ok(None);
        };
        waiting += info.num_pending + u64::try_from(info.num_ack_pending)?;
    }
    Ok(Some(waiting))
}

/// How quickly a counter that begins at `all` came down to nothing: what it came down by a second, from the first
/// moment at which it had moved.
pub async fn speed<F: Future<Output = Result<u64>>>(all: u64, left: impl Fn() -> F) -> Result<f64> {
    let begun = Instant::now();
    let mut first = None;
    loop {
        let now_left = left().await?;
        let now = Instant::now();
        if now_left < all && first.is_none() {
            first = Some((now, now_left));
        }
        match first {
            Some((since, at_first)) if now_left == 0 => {
                return Ok(count(at_first) / (now - since).as_secs_f64());
            }
            _ => {}
        }
        if begun.elapsed() > PATIENCE {
            bail!("{now_left} of {all} are left after {PATIENCE:?}");
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
