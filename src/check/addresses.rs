//! The addresses that `serve` listens on.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpListener;

use super::Finding;
use crate::config::Config;

const TIMEOUT: Duration = Duration::from_secs(3);

pub(super) async fn check(config: &Config) -> Vec<Finding> {
    // What an igstream that runs there answers, and nobody else.
    vec![
        address(
            "server.bind",
            config.server.bind,
            "readyz",
            "\"durability\"",
        )
        .await,
        address(
            "metrics.bind",
            config.metrics.bind,
            "metrics",
            "instagram_build_info",
        )
        .await,
    ]
}

async fn address(key: &'static str, address: SocketAddr, path: &str, known_by: &str) -> Finding {
    match TcpListener::bind(address).await {
        Ok(_) => Finding::good(key, format!("{address} is free")),
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            let url = format!("http://{}/{path}", reached_at(address));
            if ask(&url).await.is_ok_and(|body| body.contains(known_by)) {
                Finding::good(key, format!("an igstream runs at {address}"))
            } else {
                let mend = "stop what uses it, or set another address";
                let found = format!("something else listens on {address}: {mend}");
                Finding::wrong(key, found)
            }
        }
        Err(error) => {
            let mend = "set an address of this machine that we may listen on";
            Finding::wrong(key, format!("cannot listen on {address}: {error}; {mend}"))
        }
    }
}

/// Where this machine reaches what listens on `address`.
pub(crate) fn reached_at(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

async fn ask(url: &str) -> reqwest::Result<String> {
    let client = reqwest::Client::builder()
        .no_proxy()
        .timeout(TIMEOUT)
        .build()?;
    let body = client.get(url).send().await?.bytes().await?;
    Ok(String::from_utf8_lossy(&body).into_owned())
}
