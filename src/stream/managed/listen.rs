//! Where the server listens, and where it is reached.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use tokio::net::TcpListener;

use super::ManagedError;

/// `nats.listen`, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listen {
    /// Without brackets.
    pub(super) host: String,
    /// `None`: a free one.
    pub(super) port: Option<u16>,
}

impl Listen {
    pub(super) fn parse(listen: &str) -> Result<Self, ManagedError> {
        let parsed = listen.rsplit_once(':').and_then(|(host, port)| {
            let host = match host.strip_prefix('[') {
                Some(rest) => rest.strip_suffix(']')?,
                None if host.contains(':') => return None,
                None => host,
            };
            let port = match port {
                "0" | "-1" => None,
                port => Some(port.parse().ok()?),
            };
            (!host.is_empty()).then(|| Self {
                host: host.to_owned(),
                port,
            })
        });
        parsed.ok_or_else(|| ManagedError::BadListen {
            listen: listen.to_owned(),
        })
    }

    /// As it is written in the configuration, with the port that is really used.
    pub(super) fn address(&self, port: u16) -> String {
        join(&self.host, port)
    }

    /// Where a client on this machine reaches it.
    pub(super) fn reached_at(&self, port: u16) -> String {
        let host = match self.host.parse() {
            Ok(IpAddr::V4(ip)) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.to_string(),
            Ok(IpAddr::V6(ip)) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.to_string(),
            _ => self.host.clone(),
        };
        join(&host, port)
    }

    /// Only this machine can reach it.
    pub(super) fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
    }

    /// Whether a server could listen there now. It may still lose the place before it is up.
    pub(super) async fn ensure_free(&self) -> Result<(), ManagedError> {
        let port = self.port.unwrap_or(0);
        let address = self.address(port);
        match TcpListener::bind((self.host.as_str(), port)).await {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                Err(ManagedError::PortTaken { address })
            }
            Err(source) => Err(ManagedError::CannotListen { address, source }),
        }
    }
}

fn join(host: &str, port: u16) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn addresses_of_both_families_are_understood() {
        let local = Listen::parse("127.0.0.1:4222").unwrap();
        assert_eq!((local.host.as_str(), local.port), ("127.0.0.1", Some(4222)));
        assert_eq!(local.reached_at(4222), "127.0.0.1:4222");
        assert_eq!(
            Listen::parse("[::1]:4222").unwrap().reached_at(4222),
            "[::1]:4222"
        );
        assert_eq!(
            Listen::parse("[::]:4222").unwrap().reached_at(4222),
            "[::1]:4222"
        );
        assert_eq!(
            Listen::parse("0.0.0.0:0").unwrap().reached_at(77),
            "127.0.0.1:77"
        );
        assert_eq!(Listen::parse("localhost:-1").unwrap().port, None);
    }

    #[test]
    fn what_is_no_address_is_refused_with_the_key() {
        for wrong in [
            "",
            "4222",
            ":4222",
            "localhost",
            "localhost:",
            "localhost:nats",
            "127.0.0.1:70000",
            "::1:4222",
        ] {
            let error = Listen::parse(wrong).unwrap_err().to_string();
            assert!(
                error.contains("nats.listen") && error.contains(wrong),
                "{error}"
            );
        }
    }
}
