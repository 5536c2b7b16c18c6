//! What the configuration says of Instagram's Graph API and of access tokens.

use crate::config::Config;
use crate::graph::{GraphClient, GraphOptions};
use crate::vault::Vault;

/// For what is asked with an account's access token.
#[must_use]
pub fn graph(config: &Config) -> GraphClient {
    let url = config.instagram.graph_url.clone();
    client(config, url, "instagram.graph_url")
}

/// For what is the app's own.
#[must_use]
pub fn app_graph(config: &Config) -> GraphClient {
    let url = config.instagram.app_graph_url.clone();
    client(config, url, "instagram.app_graph_url")
}

fn client(config: &Config, url: String, url_key: &'static str) -> GraphClient {
    let instagram = &config.instagram;
    GraphClient::new(GraphOptions {
        url,
        url_key,
        version: instagram.graph_version.clone(),
        call_timeout: instagram.graph_timeout,
        patience: instagram.graph_patience,
    })
}

/// What access tokens are encrypted with.
#[must_use]
pub fn vault(config: &Config) -> Vault {
    let accounts = &config.accounts;
    Vault::new(
        accounts.encryption_key.as_ref(),
        &accounts.previous_encryption_keys,
    )
}
