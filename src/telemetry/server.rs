//! `/metrics` on a listener of its own: Prometheus reaches it, the public does not.

use std::future::{Future, pending};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;
use metrics_process::Collector;
use tokio::net::TcpListener;
use tokio::time::{MissedTickBehavior, interval};

use crate::listen::{self, Bounds};

/// The Prometheus text format,
/// <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How often recorded durations are put into their buckets; until then each takes memory.
const UPKEEP: Duration = Duration::from_secs(5);

/// Prometheus needs few connections.
const BOUNDS: Bounds = Bounds {
    connections: 64,
    finish_within: Duration::from_secs(1),
};

/// `metrics.bind` cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error(
    "metrics.bind: cannot listen on {address}: {reason}; stop what uses it, or set another address"
)]
pub struct BindError {
    address: SocketAddr,
    reason: io::Error,
}

/// Opens the listener.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, BindError> {
    TcpListener::bind(address)
        .await
        .map_err(|reason| BindError { address, reason })
}

/// Answers scrapes, and does the upkeep of the recorder, until `shutdown` is there.
///
/// # Errors
///
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    metrics: PrometheusHandle,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    tokio::select! {
        ended = listen::serve(listener, router(metrics.clone()), BOUNDS, shutdown) => ended,
        () = upkeep(metrics) => pending().await,
    }
}

async fn upkeep(metrics: PrometheusHandle) {
    let mut ticks = interval(UPKEEP);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        metrics.run_upkeep();
    }
}

/// The route `GET /metrics`.
pub fn router(metrics: PrometheusHandle) -> Router {
    let process = Collector::default();
    process.describe();
    Router::new().route(
        "/metrics",
        get(move || scrape(metrics.clone(), process.clone())),
    )
}

/// Reads the state of the process from the kernel and writes all out: work for a thread that may block.
async fn scrape(metrics: PrometheusHandle, process: Collector) -> Response {
    let rendered = tokio::task::spawn_blocking(move || {
        process.collect();
        metrics.render()
    });
    match rendered.await {
        Ok(text) => ([(header::CONTENT_TYPE, TEXT_FORMAT)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "rendering the metrics failed");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::sync::oneshot;

    use super::{bind, serve};
    use crate::telemetry::metrics;

    async fn get(address: std::net::SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn a_scrape_has_the_service_and_the_process() {
        let handle = metrics::install().unwrap();
        metrics::register(&["comment"]);
        let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(serve(listener, handle, async { drop(stopped.await) }));

        let answer = get(address, "/metrics").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
        assert!(
            answer.contains("content-type: text/plain; version=0.0.4"),
            "{answer}"
        );
        for name in [
            "instagram_webhook_deliveries_total{",
            "process_resident_memory_bytes ",
            "process_cpu_seconds_total ",
        ] {
            assert!(answer.contains(name), "no {name} in {answer}");
        }
        assert!(get(address, "/").await.starts_with("HTTP/1.1 404"));

        stop.send(()).unwrap();
        server.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_taken_address_is_told_with_its_key() {
        let first = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = first.local_addr().unwrap();
        let error = bind(address).await.unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("metrics.bind: cannot listen on {address}: ")),
            "{error}"
        );
    }
}
