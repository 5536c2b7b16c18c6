//! How long events took from being received until they were told as stored, seen by a subscriber.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context as _, Result};
use async_nats::Message;
use chrono::{DateTime, Utc};
use futures::StreamExt as _;
use hdrhistogram::Histogram;
use tokio::task::JoinHandle;

use crate::plan::count;

/// What is told as stored.
const SUBJECT: &str = "instagram.stored.>";
/// Where its body says when it was received.
const RECEIVED_AT: &str = "\"received_at\":\"";
/// Longer than this nothing lets wait for the next message.
const SILENCE: Duration = Duration::from_mins(5);

/// The delays of the events, by type.
#[derive(Debug, Default)]
pub struct Delays {
    by_type: HashMap<String, Histogram<u64>>,
}

impl Delays {
    /// A percentile of the delays of the types that are named, or of all, in milliseconds.
    #[must_use]
    pub fn milliseconds(&self, event_types: &[&str], percentile: f64) -> f64 {
        let mut all: Option<Histogram<u64>> = None;
        for (name, delays) in &self.by_type {
            if !event_types.is_empty() && !event_types.contains(&name.as_str()) {
                continue;
            }
            match &mut all {
                None => all = Some(delays.clone()),
                // They are made alike.
                Some(all) => drop(all.add(delays)),
            }
        }
        all.map_or(f64::NAN, |all| {
            count(all.value_at_percentile(percentile)) / 1000.0
        })
    }

    fn add(&mut self, message: &Message) -> Result<()> {
        let arrived = Utc::now();
        let event_type = message.subject.split('.').nth(2).unwrap_or_default();
        let delay = arrived - received_at(&message.payload)?;
        let micros = u64::try_from(delay.num_microseconds().unwrap_or(1)).unwrap_or(1);
        if !self.by_type.contains_key(event_type) {
            self.by_type
                .insert(event_type.to_owned(), Histogram::new(3)?);
        }
        let delays = self.by_type.get_mut(event_type).context("just made")?;
        delays.record(micros.max(1))?;
        Ok(())
    }
}

fn received_at(body: &[u8]) -> Result<DateTime<Utc>> {
    let text = std::str::from_utf8(body)?;
    let (_, rest) = text.split_once(RECEIVED_AT).context("no received_at")?;
    let (time, _) = rest.split_once('"').context("no end of received_at")?;
    Ok(DateTime::parse_from_rfc3339(time)?.to_utc())
}

/// A subscriber.
#[derive(Debug)]
pub struct Watch {
    delays: JoinHandle<Result<Delays>>,
}

impl Watch {
    /// Subscribes, and watches until it was told `events` events.
    pub async fn start(nats: &str, events: u64) -> Result<Self> {
        let client = async_nats::ConnectOptions::new()
            .subscription_capacity(1 << 20)
            .connect(nats)
            .await?;
        let mut told = client.subscribe(SUBJECT).await?;
        client.flush().await?;
        let delays = tokio::spawn(async move {
            let mut delays = Delays::default();
            for _ in 0..events {
                let message = tokio::time::timeout(SILENCE, told.next())
                    .await
                    .context("nothing more is told as stored")?
                    .context("the subscription ended")?;
                delays.add(&message)?;
            }
            drop(client);
            Ok(delays)
        });
        Ok(Self { delays })
    }

    /// Waits for the last of them.
    pub async fn all(self) -> Result<Delays> {
        self.delays.await?
    }
}
