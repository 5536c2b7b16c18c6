//! One payload of somebody's own, signed and posted as it is.

use super::post::{PlayError, Reply, client, exchange, parse_url, root_cause};
use super::signer::{Signer, Signing};

/// Posts single payloads to one address.
pub struct SinglePost {
    url: reqwest::Url,
    client: reqwest::Client,
    signer: Signer,
}

/// Nothing came back.
#[derive(Debug, thiserror::Error)]
#[error("no answer from {url}: {reason}; start `igstream serve`, or name its address by --url")]
pub struct NoAnswer {
    url: String,
    reason: String,
}

impl SinglePost {
    /// Posts to `url`, signing with `signer`'s first secret.
    ///
    /// # Errors
    /// [`PlayError::Url`] and [`PlayError::Client`].
    pub fn new(url: &str, signer: Signer) -> Result<Self, PlayError> {
        Ok(Self {
            url: parse_url(url)?,
            client: client(1).map_err(PlayError::Client)?,
            signer,
        })
    }

    /// Posts `body` byte for byte, once, and waits for its answer as long as Meta does.
    ///
    /// # Errors
    /// [`NoAnswer`] if nothing listens there or it does not answer in time.
    pub async fn post(&self, body: Vec<u8>) -> Result<Reply, NoAnswer> {
        let signature = self.signer.header(0, Signing::Right, &body);
        exchange(&self.client, &self.url, body, signature)
            .await
            .map_err(|error| NoAnswer {
                url: self.url.to_string(),
                reason: root_cause(&error),
            })
    }
}
