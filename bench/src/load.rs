//! Deliveries posted over HTTP, from a thread of its own: as fast as they are answered, or at a pace.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use hdrhistogram::Histogram;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use igstream::instagram::signature::{SIGNATURE_HEADER, sign};
use tokio::net::TcpStream;

use crate::plan::{count, size};
use crate::servers::SECRET;

/// A delivery, signed.
#[derive(Debug, Clone)]
pub struct Signed {
    body: Bytes,
    signature: String,
}

/// Signs `bodies`.
#[must_use]
pub fn signed(bodies: &[Bytes]) -> Arc<Vec<Signed>> {
    let sign = |body: &Bytes| Signed {
        signature: sign(SECRET, body),
        body: body.clone(),
    };
    Arc::new(bodies.iter().map(sign).collect())
}

/// What is posted, and how.
#[derive(Debug, Clone)]
pub struct Load {
    /// To whom.
    pub address: SocketAddr,
    /// Where, as in `/api/instagram/webhooks`.
    pub path: &'static str,
    /// What; each once, in this order.
    pub deliveries: Arc<Vec<Signed>>,
    /// Over so many connections, each with one delivery under way.
    pub connections: usize,
    /// So many deliveries a second; as fast as they are answered where there is none.
    pub pace: Option<f64>,
    /// Until so much time is over, were there more to post.
    pub at_most: Duration,
}

/// What came back.
#[derive(Debug)]
pub struct Answers {
    /// How many were answered 200.
    pub taken: usize,
    /// How many otherwise.
    pub refused: usize,
    /// When posting began.
    pub begun: Instant,
    /// The same by the clock on the wall.
    pub begun_at: DateTime<Utc>,
    /// From the first post to the last answer.
    pub took: Duration,
    /// How long answers took, in microseconds.
    pub latencies: Histogram<u64>,
}

impl Answers {
    /// Deliveries a second that were answered 200.
    #[must_use]
    pub fn rate(&self) -> f64 {
        size(self.taken) / self.took.as_secs_f64()
    }

    /// A percentile of the answers' latencies, in milliseconds.
    #[must_use]
    pub fn milliseconds(&self, percentile: f64) -> f64 {
        count(self.latencies.value_at_percentile(percentile)) / 1000.0
    }
}

/// Where connections take their next delivery from.
#[derive(Debug)]
struct Queue {
    load: Load,
    next: AtomicUsize,
    begun: Instant,
}

impl Queue {
    /// The next delivery, and when it is due.
    fn take(&self) -> Option<(usize, Instant)> {
        let nth = self.next.fetch_add(1, Ordering::Relaxed);
        let after = self.load.pace.map_or(0.0, |pace| size(nth) / pace);
        let due = self.begun + Duration::from_secs_f64(after);
        let is_over = self.begun.elapsed() > self.load.at_most;
        (nth < self.load.deliveries.len() && !is_over).then_some((nth, due))
    }
}

impl Load {
    /// Posts it, in a thread that has nothing else to do.
    pub async fn post(self) -> Result<Answers> {
        let (sender, answered) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            let answers = runtime
                .map_err(anyhow::Error::from)
                .and_then(|runtime| runtime.block_on(self.post_here()));
            let _ = sender.send(answers);
        });
        answered
            .await
            .map_err(|_| anyhow!("the load's thread ended"))?
    }

    async fn post_here(self) -> Result<Answers> {
        let mut connections = Vec::new();
        for _ in 0..self.connections {
            connections.push(connect(self.address).await?);
        }
        let (begun, begun_at) = (Instant::now(), Utc::now());
        let queue = Arc::new(Queue {
            load: self,
            next: AtomicUsize::new(0),
            begun,
        });
        let local = tokio::task::LocalSet::new();
        let posting: Vec<_> = connections
            .into_iter()
            .map(|connection| local.spawn_local(post_all(connection, Arc::clone(&queue))))
            .collect();
        let mut all = Answers {
            taken: 0,
            refused: 0,
            begun,
            begun_at,
            took: Duration::ZERO,
            latencies: Histogram::new(3)?,
        };
        local.await;
        for answers in posting {
            let (taken, refused, latencies) = answers.await??;
            all.taken += taken;
            all.refused += refused;
            all.latencies.add(latencies)?;
        }
        all.took = begun.elapsed();
        Ok(all)
    }
}

async fn connect(address: SocketAddr) -> Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

async fn post_all(
    mut connection: SendRequest<Full<Bytes>>,
    queue: Arc<Queue>,
) -> Result<(usize, usize, Histogram<u64>)> {
    let (mut taken, mut refused, mut latencies) = (0, 0, Histogram::new(3)?);
    let host = queue.load.address.to_string();
    while let Some((nth, due)) = queue.take() {
        tokio::time::sleep_until(due.into()).await;
        let delivery = &queue.load.deliveries[nth];
        let request = Request::post(queue.load.path)
            .header(HOST, host.as_str())
            .header(CONTENT_TYPE, "application/json")
            .header(CONTENT_LENGTH, delivery.body.len())
            .header(SIGNATURE_HEADER, delivery.signature.as_str())
            .body(Full::new(delivery.body.clone()))?;
        // At a pace, what waits for a connection waits too.
        let begun = if queue.load.pace.is_some() {
            due
        } else {
            Instant::now()
        };
        connection
            .ready()
            .await
            .context("a connection was closed")?;
        let answer = connection.send_request(request).await?;
        let status = answer.status();
        answer.into_body().collect().await?;
        let micros = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        latencies.record(micros.max(1))?;
        if status == StatusCode::OK {
            taken += 1;
        } else {
            refused += 1;
        }
    }
    Ok((taken, refused, latencies))
}
