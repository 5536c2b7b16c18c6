//! The floor of accepting: the same HTTP server, with the signature and the grammar checked, and nothing kept.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::routing::post;
use igstream::instagram::delivery::check_grammar;
use igstream::instagram::signature::{AppSecrets, SIGNATURE_HEADER};
use igstream::listen::{self, Bounds};
use igstream::receiver::PATH;
use tokio::net::TcpListener;

use crate::servers::{Process, SECRET, free_address};

/// The floor, as a process of its own.
#[derive(Debug)]
pub struct Floor {
    _process: Process,
    /// Where it is posted to.
    pub address: SocketAddr,
}

impl Floor {
    /// Starts it.
    pub async fn start(home: &Path) -> Result<Self> {
        let address = free_address()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["floor", "--bind", &address.to_string()]);
        let process = Process::start("floor", home, &mut command)?;
        while tokio::net::TcpStream::connect(address).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(Self {
            _process: process,
            address,
        })
    }
}

/// Answers at `address` until the process ends.
pub async fn serve(address: SocketAddr) -> Result<()> {
    let secrets = Arc::new(AppSecrets::new([SECRET]));
    let routes = Router::new().route(PATH, post(deliver)).with_state(secrets);
    let bounds = Bounds {
        connections: 1000,
        finish_within: Duration::from_secs(1),
    };
    let listener = TcpListener::bind(address).await?;
    Ok(listen::serve(listener, routes, bounds, std::future::pending()).await?)
}

async fn deliver(
    State(secrets): State<Arc<AppSecrets>>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, &'static str) {
    let signature = headers.get(SIGNATURE_HEADER).map(HeaderValue::as_bytes);
    if secrets.verify(signature, &body).is_err() {
        return (StatusCode::UNAUTHORIZED, "");
    }
    match check_grammar(&body) {
        Ok(()) => (StatusCode::OK, "EVENT_RECEIVED"),
        Err(_) => (StatusCode::BAD_REQUEST, ""),
    }
}
