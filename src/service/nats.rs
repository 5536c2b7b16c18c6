//! Which NATS the service uses, and how it is reached.

use crate::config::Config;
use crate::stream::ConnectionOptions;
use crate::stream::managed::Options;

/// What `nats.*` says of a server of the service's own.
pub(crate) fn managed_options(config: &Config) -> Options {
    Options {
        server_binary: config.nats.server_binary.clone(),
        data_dir: config.nats.data_dir.clone(),
        listen: config.nats.listen.to_string(),
    }
}

/// What `nats.*` says of how to connect; `managed` is the URL of a server of the
/// service's own.
pub(super) fn connection_options(config: &Config, managed: Option<String>) -> ConnectionOptions {
    let nats = &config.nats;
    let configured = || nats.url.iter().map(|url| url.expose().to_owned()).collect();
    ConnectionOptions {
        urls: managed.map_or_else(configured, |url| vec![url]),
        credentials_file: nats.credentials_file.clone(),
        tls_ca_file: nats.tls_ca_file.clone(),
        tls_client_files: nats.tls_cert_file.clone().zip(nats.tls_key_file.clone()),
    }
}
