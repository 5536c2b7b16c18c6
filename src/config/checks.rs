//! What no value can tell by itself: values that must fit each other, and files that must be there.

use std::net::SocketAddr;
use std::path::Path;

use super::error::Problem;
use super::{Config, NatsMode};

/// Everything that does not fit.
pub(super) fn all(config: &Config) -> Vec<Problem> {
    let mut problems = Vec::new();
    nats(config, &mut problems);
    limits(config, &mut problems);
    jwt_secret(config, &mut problems);
    addresses(config, &mut problems);
    files(config, &mut problems);
    problems
}

fn nats(config: &Config, problems: &mut Vec<Problem>) {
    let nats = &config.nats;
    match nats.mode {
        NatsMode::External if nats.url.is_empty() => problems.push(Problem::new(
            "nats.url",
            "nats.url is not set, but nats.mode = \"external\" connects to it; set nats.url, or nats.mode to managed",
        )),
        NatsMode::Managed if !nats.url.is_empty() => problems.push(Problem::new(
            "nats.url",
            "nats.url is set, but nats.mode = \"managed\" starts a server of its own; set nats.mode to external, or nats.url to nothing",
        )),
        NatsMode::Managed if config.stream.replicas > 1 => problems.push(Problem::new(
            "stream.replicas",
            format!(
                "stream.replicas = {}, but a managed server (nats.mode) is one server; set it to 1, or nats.mode to external",
                config.stream.replicas
            ),
        )),
        NatsMode::Managed | NatsMode::External => {}
    }
    for (given, other, missing) in [
        (
            "nats.tls_cert_file",
            "nats.tls_key_file",
            nats.tls_cert_file.is_some() && nats.tls_key_file.is_none(),
        ),
        (
            "nats.tls_key_file",
            "nats.tls_cert_file",
            nats.tls_key_file.is_some() && nats.tls_cert_file.is_none(),
        ),
    ] {
        if missing {
            problems.push(Problem::new(
                other,
                format!("{other} is not set, but {given} is; a client certificate needs both"),
            ));
        }
    }
}

fn limits(config: &Config, problems: &mut Vec<Problem>) {
    let server = &config.server;
    if server.max_waiting_bytes < server.body_limit_bytes {
        problems.push(Problem::new(
            "server.max_waiting_bytes",
            format!(
                "server.max_waiting_bytes = {} is less than server.body_limit_bytes = {}, so that the largest delivery could never be accepted; raise it",
                server.max_waiting_bytes, server.body_limit_bytes
            ),
        ));
    }
}

/// Source: RFC 7518, 3.2. A shorter one can be guessed by whoever has seen a token.
fn jwt_secret(config: &Config, problems: &mut Vec<Problem>) {
    const SHORTEST_BYTES: usize = 32;
    let secret = config.auth.jwt_secret.as_ref();
    let bytes = secret.map_or(SHORTEST_BYTES, |secret| secret.expose().len());
    if bytes < SHORTEST_BYTES {
        problems.push(Problem::new(
            "auth.jwt_secret",
            format!(
                "auth.jwt_secret has {bytes} bytes, but HS256 needs at least {SHORTEST_BYTES}; make one with `openssl rand -hex 32`"
            ),
        ));
    }
}

fn addresses(config: &Config, problems: &mut Vec<Problem>) {
    let mut taken: Vec<(&str, SocketAddr)> = vec![("server.bind", config.server.bind)];
    let mut next = vec![("metrics.bind", config.metrics.bind)];
    if config.nats.mode == NatsMode::Managed {
        next.push(("nats.listen", config.nats.listen));
    }
    for (key, address) in next {
        // Port 0 is a free one, another each time.
        let clash = taken
            .iter()
            .find(|(_, other)| address.port() != 0 && *other == address);
        if let Some((other, _)) = clash {
            problems.push(Problem::new(
                key,
                format!(
                    "{key} = {address} is the address of {other} too; give each a port of its own"
                ),
            ));
        }
        taken.push((key, address));
    }
}

fn files(config: &Config, problems: &mut Vec<Problem>) {
    let named = [
        ("nats.credentials_file", &config.nats.credentials_file),
        ("nats.tls_ca_file", &config.nats.tls_ca_file),
        ("nats.tls_cert_file", &config.nats.tls_cert_file),
        ("nats.tls_key_file", &config.nats.tls_key_file),
        ("auth.jwt_public_key_file", &config.auth.jwt_public_key_file),
    ];
    for (key, path) in named {
        if let Some(problem) = path.as_deref().and_then(|path| unreadable(key, path)) {
            problems.push(problem);
        }
    }
}

fn unreadable(key: &str, path: &Path) -> Option<Problem> {
    let error = std::fs::read(path).err()?;
    Some(Problem::new(
        key,
        format!("{key}: cannot read the file {}: {error}", path.display()),
    ))
}
