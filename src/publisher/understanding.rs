//! Deliveries are understood on a thread of its own, which is watched: what
//! panics is caught, and what does not end is left behind.
//!
//! A delivery is published as all of its events, or as one dead letter of the
//! whole: all of it is understood before the first of its events is published.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;
use tracing::error;

use super::chunk::{Chunk, Understood, understand};
use crate::instagram::Delivery;
use crate::instagram::understand::Reading;

/// How often it is looked whether the thread gets on.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// After so many looks at one and the same item it hangs. Looks are counted, not
/// time: a process that was stopped, or a machine that was, has not hung.
const LOOKS: u32 = 20;
/// As the main thread has. An item's nesting is bounded by its delivery's bytes,
/// but its readers do not recurse.
const STACK_BYTES: usize = 8 * 1024 * 1024;
/// Chunks that are understood while one is published.
const AHEAD: usize = 1;

/// What the thread says next.
pub(super) enum Next {
    /// To be published.
    Chunk(Chunk),
    /// All deliveries are understood.
    Done,
    /// The delivery at this index does not end.
    Hangs(usize),
    /// The thread ended before its time.
    Broken,
}

/// Why a delivery that panicked is dead.
pub(super) const PANICKED: &str =
    "a delivery that cannot be understood: the publisher panicked over it";
/// Why a delivery that does not end is dead.
pub(super) const HUNG: &str =
    "a delivery that cannot be understood: the publisher did not get on with it for 20 s";

/// Deliveries that are being understood. The thread ends when this is dropped,
/// unless it hangs: then it is lost until the process ends.
pub(super) struct Understanding {
    chunks: mpsc::Receiver<Chunk>,
    progress: Arc<Progress>,
}

#[derive(Default)]
struct Progress {
    /// The delivery that is being understood; one beyond the last at the end.
    delivery: AtomicUsize,
    /// Grows with each item.
    steps: AtomicU64,
    deliveries: usize,
}

impl Progress {
    fn step(&self) {
        self.steps.fetch_add(1, Ordering::Relaxed);
    }
}

impl Understanding {
    /// Begins with the first of `deliveries`.
    pub(super) fn begin(deliveries: Arc<Vec<Delivery>>, max_payload: usize) -> io::Result<Self> {
        let (sender, chunks) = mpsc::channel(AHEAD);
        let progress = Arc::new(Progress {
            deliveries: deliveries.len(),
            ..Progress::default()
        });
        let thread = Thread {
            progress: Arc::clone(&progress),
            sender,
            max_payload,
            chunk: Chunk::default(),
        };
        thread::Builder::new()
            .name("understanding".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || thread.run(&deliveries))?;
        Ok(Self { chunks, progress })
    }

    /// The next chunk, as soon as it is understood.
    pub(super) async fn next(&mut self) -> Next {
        let (mut looks, mut before) = (0, None);
        while looks < LOOKS {
            match timeout(LOOK_EVERY, self.chunks.recv()).await {
                Ok(Some(chunk)) => return Next::Chunk(chunk),
                Ok(None) => return self.end(),
                Err(_) => {
                    let now = self.progress.steps.load(Ordering::Relaxed);
                    looks = if before == Some(now) { looks + 1 } else { 0 };
                    before = Some(now);
                }
            }
        }
        Next::Hangs(self.progress.delivery.load(Ordering::Relaxed))
    }

    fn end(&self) -> Next {
        if self.progress.delivery.load(Ordering::Relaxed) == self.progress.deliveries {
            Next::Done
        } else {
            Next::Broken
        }
    }
}

/// Nobody waits for more.
struct Gone;

struct Thread {
    progress: Arc<Progress>,
    sender: mpsc::Sender<Chunk>,
    max_payload: usize,
    chunk: Chunk,
}

impl Thread {
    fn run(mut self, deliveries: &[Delivery]) {
        for (index, delivery) in deliveries.iter().enumerate() {
            self.progress.delivery.store(index, Ordering::Relaxed);
            self.progress.step();
            if self.take(delivery).is_err() {
                return;
            }
        }
        if self.flush().is_ok() {
            let all = deliveries.len();
            self.progress.delivery.store(all, Ordering::Relaxed);
        }
    }

    fn take(&mut self, delivery: &Delivery) -> Result<(), Gone> {
        let understood = catch_unwind(AssertUnwindSafe(|| {
            #[cfg(debug_assertions)]
            crate::fault::in_publisher(&delivery.body);
            understand(&Reading::of(delivery), self.max_payload, || {
                self.progress.step();
            })
        }));
        match understood {
            Ok(Ok(Understood::All(events))) => self.add(events),
            Ok(Ok(Understood::Many)) => self.publish_as_they_come(delivery),
            Ok(Err(_)) | Err(_) => {
                error!(delivery_id = %delivery.id, "a delivery cannot be understood; it is kept whole as a dead letter");
                let whole = Chunk::of_whole(delivery, PANICKED, self.max_payload);
                self.add(whole.map_err(|_| Gone)?)
            }
        }
    }

    fn publish_as_they_come(&mut self, delivery: &Delivery) -> Result<(), Gone> {
        for event in Reading::of(delivery).events() {
            self.progress.step();
            // What was understood a moment ago is understood again.
            self.chunk.add(event, self.max_payload).map_err(|_| Gone)?;
            if self.chunk.is_full() {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn add(&mut self, events: Chunk) -> Result<(), Gone> {
        if !self.chunk.has_room_for(&events) {
            self.flush()?;
        }
        self.chunk.append(events);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Gone> {
        let chunk = std::mem::take(&mut self.chunk);
        if chunk.is_empty() {
            return Ok(());
        }
        self.sender.blocking_send(chunk).map_err(|_| Gone)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use bytes::Bytes;
    use chrono::Utc;
    use uuid::Uuid;

    use super::*;

    const MAX_PAYLOAD: usize = 1024 * 1024;

    fn delivery(body: String) -> Delivery {
        Delivery {
            id: Uuid::now_v7(),
            received_at: Utc::now(),
            signature: String::new(),
            secret_id: String::new(),
            body: Bytes::from(body),
        }
    }

    fn of_items(number: usize) -> Delivery {
        let items: Vec<_> = (0..number)
            .map(|id| format!(r#"{{"field":"comments","value":{{"id":"{id}"}}}}"#))
            .collect();
        let items = items.join(",");
        delivery(format!(
            r#"{{"object":"instagram","entry":[{{"id":"1","changes":[{items}]}}]}}"#
        ))
    }

    async fn events_of(deliveries: Vec<Delivery>) -> Vec<usize> {
        let mut understanding = Understanding::begin(Arc::new(deliveries), MAX_PAYLOAD).unwrap();
        let mut chunks = Vec::new();
        loop {
            match understanding.next().await {
                Next::Chunk(chunk) => chunks.push(chunk.messages.len()),
                Next::Done => return chunks,
                Next::Hangs(_) | Next::Broken => panic!("it ended too early"),
            }
        }
    }

    #[tokio::test]
    async fn small_deliveries_go_together_and_large_ones_in_parts() {
        let few = (0..3).map(|_| of_items(2)).collect();
        assert_eq!(events_of(few).await, [6]);
        let many = events_of(vec![of_items(1), of_items(5000), of_items(1)]).await;
        assert_eq!(many.iter().sum::<usize>(), 5002);
        assert!(many.iter().all(|events| *events <= 1000), "{many:?}");
        assert_eq!(events_of(Vec::new()).await, [0; 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_get_on_hangs() {
        let (sender, chunks) = mpsc::channel(1);
        let mut understanding = Understanding {
            chunks,
            progress: Arc::default(),
        };
        assert!(matches!(understanding.next().await, Next::Hangs(0)));
        drop(sender);
        assert!(matches!(understanding.next().await, Next::Done));
    }
}
