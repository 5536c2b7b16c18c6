//! NATS: the server, and what it can do.

use async_nats::jetstream;

use super::clock::Elsewhere;
use super::{Finding, chain, disk, streams};
use crate::config::{Config, NatsMode};
use crate::service::durability::{self, ask_monitor};
use crate::service::{AttachError, attach_running, managed_options, stream_settings};
use crate::stream::Connection;
use crate::stream::connection::PAYLOAD_MARGIN_BYTES;
use crate::stream::managed::{ensure_listen_free, find_binary, running};
use crate::stream::topology::Topology;

const SERVER: &str = "nats-server";
const LISTEN: &str = "nats.listen";
const NATS: &str = "NATS";
const JETSTREAM: &str = "JetStream";
const PAYLOAD: &str = "max_payload";

pub(super) struct Nats {
    pub(super) findings: Vec<Finding>,
    pub(super) clock: Option<Elsewhere>,
}

pub(super) async fn check(config: &Config) -> Nats {
    let mut findings = Vec::new();
    if config.nats.mode == NatsMode::Managed {
        findings.extend(managed(config).await);
    }
    let monitor = ask_monitor(config).await;
    let monitored = monitor.as_ref().and_then(|asked| asked.as_ref().ok());
    let clock = monitored.map(|settings| Elsewhere::read(settings.now));
    let known = durability::known(config, monitor.as_ref());
    match attach_running(config).await {
        Ok(connection) => {
            findings.extend(server(config, &connection).await);
            if let Ok(topology) = Topology::new(stream_settings(config)) {
                let room = monitored.map(|settings| settings.reservable_bytes);
                let looked = streams::check(config, &topology, &connection, &known, room);
                findings.extend(looked.await);
            }
            connection.close().await;
        }
        // It is started by `serve`: until then there is nothing to look at.
        Err(AttachError::NotRunning { .. }) => {
            findings.push(Finding::good(
                NATS,
                "started by `igstream serve`; its streams are looked at while it runs",
            ));
            findings.push(streams::room_for_a_new_server(config));
            findings.push(streams::durability(config, &known, []));
        }
        Err(error) => {
            findings.push(Finding::wrong(
                NATS,
                format!("{error}; start it, or mend nats.url"),
            ));
        }
    }
    Nats { findings, clock }
}

/// What a server of the service's own needs.
async fn managed(config: &Config) -> Vec<Finding> {
    let options = managed_options(config);
    let binary = match find_binary(&options).await {
        Ok(binary) => {
            let found = format!("{} {}", binary.path.display(), binary.version);
            Finding::good(SERVER, found)
        }
        Err(error) => Finding::wrong(SERVER, error.to_string()),
    };
    let address = &options.listen;
    let listen = if running(&options.data_dir).is_some() {
        Finding::good(LISTEN, format!("{address}: our own nats-server runs"))
    } else {
        match ensure_listen_free(&options).await {
            Ok(()) => Finding::good(LISTEN, format!("{address} is free")),
            Err(error) => Finding::wrong(LISTEN, error.to_string()),
        }
    };
    let directory = match disk::unwritable_directory(&options.data_dir) {
        None => Finding::good("nats.data_dir", options.data_dir.display().to_string()),
        Some(reason) => {
            let found = format!("{reason}; give our user the right, or set nats.data_dir");
            Finding::wrong("nats.data_dir", found)
        }
    };
    vec![binary, listen, directory]
}

async fn server(config: &Config, connection: &Connection) -> Vec<Finding> {
    let info = connection.consume.client().server_info();
    let reached = format!("nats-server {} answers", info.version);
    let mut findings = vec![
        Finding::good(NATS, reached),
        jetstream_of(&connection.consume).await,
        payload(config, connection.max_payload()),
    ];
    if config.stream.replicas > 1 && info.cluster.is_none() {
        let found = format!(
            "stream.replicas is {}, but the server is in no cluster: connect to a cluster of at least as many, or set stream.replicas to 1",
            config.stream.replicas
        );
        findings.push(Finding::wrong("stream.replicas", found));
    }
    findings
}

async fn jetstream_of(context: &jetstream::Context) -> Finding {
    match context.query_account().await {
        Ok(account) => {
            let found = format!(
                "enabled; {} stream(s), {} consumer(s) in this account",
                account.streams, account.consumers
            );
            Finding::good(JETSTREAM, found)
        }
        Err(error) => {
            let mend = "enable it (`jetstream {}`) at the server and for this account";
            Finding::wrong(JETSTREAM, format!("not usable: {}; {mend}", chain(&error)))
        }
    }
}

fn payload(config: &Config, max_payload: usize) -> Finding {
    let limit = config.server.body_limit_bytes;
    let largest = max_payload.saturating_sub(PAYLOAD_MARGIN_BYTES);
    if largest == 0 {
        let found =
            format!("{max_payload} bytes are too few for any delivery: raise it at the server");
        return Finding::wrong(PAYLOAD, found);
    }
    if largest < limit {
        let found = format!(
            "{max_payload} bytes: the largest delivery is {largest} bytes, less than server.body_limit_bytes ({limit}); raise max_payload at the server, or lower the limit"
        );
        return Finding::note(PAYLOAD, found);
    }
    let found = format!(
        "{max_payload} bytes; the largest delivery is server.body_limit_bytes, {limit} bytes"
    );
    Finding::good(PAYLOAD, found)
}
