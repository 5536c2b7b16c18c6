//! HTTP on a listener, for peers that may be slow, silent or too many: each
//! wait has an end, and the connections have a bound.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use hyper_util::service::TowerToHyperService;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// How long a connection may say nothing at all.
const SILENT_FOR: Duration = Duration::from_secs(10);
/// How long the head of a request may take, the pause before it included: longer
/// than the 60 s for which proxies (nginx, AWS) keep an idle connection, so that
/// none of them sends a delivery on one that is just being closed.
const HEAD_WITHIN: Duration = Duration::from_secs(75);
/// How often an HTTP/2 peer has to show that it is there.
const PING_EVERY: Duration = Duration::from_secs(20);
/// What a connection reads ahead; also the longest head of a request. It grows to
/// seven times as much by itself, and stays so.
const BUFFER_BYTES: usize = 64 * 1024;
/// The pause before a beginning that is not whole is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// The pause after a connection could not be accepted, as when the process has
/// no file descriptor left.
const PAUSE: Duration = Duration::from_millis(200);
/// Descriptors that are not for connections: the database, NATS, files.
const OTHER_DESCRIPTORS: u64 = 128;

/// What a listener bears.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Connections at once; further ones wait until one of these ends.
    pub connections: usize,
    /// How long requests that are under way may take when it stops.
    pub finish_within: Duration,
}

/// Answers with `routes` until `shutdown`, then lets what is under way end.
pub async fn serve(
    listener: TcpListener,
    routes: Router,
    bounds: Bounds,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let places = Arc::new(Semaphore::new(bounds.connections));
    let stopping = CancellationToken::new();
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            (stream, place) = next(&listener, &places) => {
                let answered = answer(stream, routes.clone(), stopping.clone());
                connections.spawn(async move {
                    answered.await;
                    drop(place);
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    stopping.cancel();
    let ended = async { while connections.join_next().await.is_some() {} };
    if timeout(bounds.finish_within, ended).await.is_err() {
        let left = connections.len();
        warn!(
            left,
            "connections whose requests did not come whole are closed"
        );
    }
    Ok(())
}

/// The next connection for which there is a place.
async fn next(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> (TcpStream, Option<OwnedSemaphorePermit>) {
    if places.available_permits() == 0 {
        debug!("all connections are taken; further ones wait");
    }
    // A semaphore that is never closed always has an answer.
    let place = Arc::clone(places).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return (stream, place),
            Err(error) if is_the_peers(&error) => {}
            Err(error) => {
                warn!(%error, "a connection cannot be accepted; trying again");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Whether the connection was gone before it was accepted.
fn is_the_peers(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}

async fn answer(stream: TcpStream, routes: Router, stopping: CancellationToken) {
    let speaks = tokio::select! {
        version = timeout(SILENT_FOR, version(&stream)) => version.ok().flatten(),
        () = stopping.cancelled() => None,
    };
    // Answers are small: none waits for another to fill a packet.
    let _ = stream.set_nodelay(true);
    let (stream, service) = (TokioIo::new(stream), TowerToHyperService::new(routes));
    let ended = match speaks {
        None => return,
        Some(Version::Http1) => {
            let mut http1 = http1::Builder::new();
            http1
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_WITHIN)
                .max_buf_size(BUFFER_BYTES);
            until_stopped(http1.serve_connection(stream, service), &stopping).await
        }
        Some(Version::Http2) => {
            let mut http2 = http2::Builder::new(TokioExecutor::new());
            http2
                .timer(TokioTimer::new())
                .keep_alive_interval(PING_EVERY);
            until_stopped(http2.serve_connection(stream, service), &stopping).await
        }
    };
    if let Err(error) = ended {
        debug!(%error, "a connection ended early");
    }
}

enum Version {
    Http1,
    Http2,
}

/// What the peer speaks, by how it begins: HTTP/2 without TLS does so with
/// `PRI * HTTP/2.0` (RFC 9113, 3.4). `None` when it says nothing.
async fn version(stream: &TcpStream) -> Option<Version> {
    const BEGINNING: &[u8] = b"PRI";
    let mut first = [0; BEGINNING.len()];
    loop {
        // Looked at, not only waited for: a socket may seem readable without a byte.
        let said = stream.peek(&mut first).await.ok()?;
        match &first[..said] {
            [] => return None,
            BEGINNING => return Some(Version::Http2),
            beginning if !BEGINNING.starts_with(beginning) => return Some(Version::Http1),
            _ => tokio::time::sleep(LOOK_AGAIN).await,
        }
    }
}

async fn until_stopped<C: GracefulConnection>(
    connection: C,
    stopping: &CancellationToken,
) -> Result<(), C::Error> {
    let mut connection = pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopping.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    }
}

/// Raises the soft limit of open files to the hard one, and returns how many of
/// `wanted` connections fit it. Source: `getrlimit(2)`; the soft limit is often
/// 1024 for the sake of `select(2)`, which nothing here uses.
#[must_use]
pub fn connections_within_descriptors(wanted: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    let descriptors = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    let fitting = fitting(wanted, descriptors);
    if fitting < wanted {
        warn!(
            connections = fitting,
            wanted,
            "the process may not open enough files for `server.max_connections`: raise its limit (`LimitNOFILE` of systemd, `ulimit -n`)"
        );
    }
    fitting
}

/// `None` descriptors are any number.
fn fitting(wanted: usize, descriptors: Option<u64>) -> usize {
    let free = descriptors.map_or(u64::MAX, |all| {
        all.saturating_sub(OTHER_DESCRIPTORS).max(all / 2)
    });
    usize::try_from(free)
        .unwrap_or(usize::MAX)
        .min(wanted)
        .max(1)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::oneshot;

    use super::*;

    const BOUNDS: Bounds = Bounds {
        connections: 2,
        finish_within: Duration::from_millis(300),
    };
    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

    struct Running {
        address: std::net::SocketAddr,
        stop: oneshot::Sender<()>,
        server: tokio::task::JoinHandle<io::Result<()>>,
    }

    async fn start() -> Running {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let routes = Router::new().route("/", get(|| async { "here" }));
        let server = tokio::spawn(serve(listener, routes, BOUNDS, async {
            drop(stopped.await);
        }));
        Running {
            address,
            stop,
            server,
        }
    }

    async fn ask(stream: &mut TcpStream) -> String {
        stream.write_all(REQUEST).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn one_too_many_waits_until_another_ends() {
        let running = start().await;
        let connect = || TcpStream::connect(running.address);
        let (mut first, mut second) = (connect().await.unwrap(), connect().await.unwrap());
        // Both have their places once one of them is answered.
        first.write_all(b"GET ").await.unwrap();
        second.write_all(b"GET ").await.unwrap();
        let mut third = connect().await.unwrap();
        let mut answered = pin!(ask(&mut third));
        let waited = timeout(Duration::from_millis(200), answered.as_mut()).await;
        assert!(waited.is_err(), "it was answered beyond the bound");
        drop(first);
        assert!(answered.await.ends_with("here"));
    }

    #[tokio::test]
    async fn neither_silent_nor_slow_peers_hold_up_a_stop() {
        let running = start().await;
        let silent = TcpStream::connect(running.address).await.unwrap();
        let mut slow = TcpStream::connect(running.address).await.unwrap();
        slow.write_all(b"GET / HTTP/1.1\r\nHost:").await.unwrap();
        running.stop.send(()).unwrap();
        let ended = timeout(Duration::from_secs(5), running.server).await;
        ended.unwrap().unwrap().unwrap();
        drop((silent, slow));
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_peer_gives_its_place_back() {
        let running = start().await;
        let mut silent = TcpStream::connect(running.address).await.unwrap();
        let mut nothing = [0];
        assert_eq!(silent.read(&mut nothing).await.unwrap(), 0);
    }

    #[test]
    fn connections_leave_descriptors_for_the_rest() {
        assert_eq!(fitting(10_000, Some(1024)), 896);
        assert_eq!(fitting(10_000, Some(1_048_576)), 10_000);
        assert_eq!(fitting(10_000, Some(100)), 50);
        assert_eq!(fitting(10_000, None), 10_000);
    }
}
