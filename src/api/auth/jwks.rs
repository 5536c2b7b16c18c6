//! The keys of an identity provider (JWKS, RFC 7517), fetched when they are needed and kept.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jsonwebtoken::Header;
use jsonwebtoken::jwk::Jwk;
use serde::Deserialize;
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::{info, warn};

use super::keys::Key;

/// How long a fetch may take.
const FETCH_WITHIN: Duration = Duration::from_secs(5);
/// An unknown key, or a provider that is away, is asked for so often at most.
const ASK_EVERY: Duration = Duration::from_secs(30);
/// Keys that are older are fetched again: a provider takes one out that it does not trust any more.
const FRESH_FOR: Duration = Duration::from_mins(10);
/// Keys of a provider that is away are used so long.
const GOOD_FOR: Duration = Duration::from_hours(24);
/// The largest set, in bytes and in keys.
const LARGEST_BYTES: usize = 256 * 1024;
const MOST_KEYS: usize = 100;

/// The provider is away, and so is the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Away;

#[derive(Debug)]
pub(super) struct KeySet {
    url: String,
    client: reqwest::Client,
    kept: Mutex<Kept>,
    /// When it was last asked for, well or not; held by whoever asks.
    asked: tokio::sync::Mutex<Option<Instant>>,
}

#[derive(Debug, Default)]
struct Kept {
    keys: Vec<(Option<String>, Key)>,
    fetched: Option<Instant>,
}

#[derive(Deserialize)]
struct Answer {
    keys: Vec<Value>,
}

impl KeySet {
    pub(super) fn new(url: String) -> reqwest::Result<Arc<Self>> {
        let client = reqwest::Client::builder()
            .timeout(FETCH_WITHIN)
            .redirect(reqwest::redirect::Policy::limited(3))
            .build()?;
        Ok(Arc::new(Self {
            url,
            client,
            kept: Mutex::default(),
            asked: tokio::sync::Mutex::default(),
        }))
    }

    /// The keys that may have signed a token with this header. For one that is not known they are fetched; for
    /// one that is, nobody waits.
    pub(super) async fn keys_for(self: &Arc<Self>, header: &Header) -> Result<Vec<Key>, Away> {
        let (keys, is_fresh) = self.look(header);
        match (keys.is_empty(), is_fresh) {
            (false, true) => return Ok(keys),
            (false, false) => {
                self.refresh();
                return Ok(keys);
            }
            (true, _) => drop(self.refresh().await),
        }
        let (keys, is_fresh) = self.look(header);
        if keys.is_empty() && !is_fresh {
            return Err(Away);
        }
        Ok(keys)
    }

    fn look(&self, header: &Header) -> (Vec<Key>, bool) {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let is_younger = |age| kept.fetched.is_some_and(|fetched| fetched.elapsed() < age);
        let keys = if is_younger(GOOD_FOR) {
            kept.matching(header)
        } else {
            Vec::new()
        };
        (keys, is_younger(FRESH_FOR))
    }

    /// Fetches them unless that was tried a moment ago. A task of its own: a client that goes away does not
    /// break it off.
    fn refresh(self: &Arc<Self>) -> JoinHandle<()> {
        let set = Arc::clone(self);
        tokio::spawn(async move {
            let mut asked = set.asked.lock().await;
            if asked.is_some_and(|asked| asked.elapsed() < ASK_EVERY) {
                return;
            }
            *asked = Some(Instant::now());
            match set.fetch().await {
                Ok(keys) => {
                    info!(keys = keys.len(), "the keys of auth.jwks_url were fetched");
                    let mut kept = set.kept.lock().unwrap_or_else(PoisonError::into_inner);
                    *kept = Kept {
                        keys,
                        fetched: *asked,
                    };
                }
                Err(error) => warn!(error, "the keys of auth.jwks_url cannot be fetched"),
            }
        })
    }

    async fn fetch(&self) -> Result<Vec<(Option<String>, Key)>, String> {
        let told = |error: reqwest::Error| error.without_url().to_string();
        let answer = self.client.get(&self.url).send().await.map_err(told)?;
        let mut answer = answer.error_for_status().map_err(told)?;
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(told)? {
            body.extend_from_slice(&chunk);
            if body.len() > LARGEST_BYTES {
                return Err(format!("the set has more than {LARGEST_BYTES} bytes"));
            }
        }
        read(&body)
    }
}

/// Keys of a kind that is not known are passed over.
fn read(body: &[u8]) -> Result<Vec<(Option<String>, Key)>, String> {
    let Answer { keys } = serde_json::from_slice(body)
        .map_err(|error| format!("the answer is no set of keys: {error}"))?;
    let usable = keys.into_iter().take(MOST_KEYS).filter_map(|key| {
        let jwk: Jwk = serde_json::from_value(key).ok()?;
        Some((jwk.common.key_id.clone(), Key::of_set(&jwk)?))
    });
    Ok(usable.collect())
}

impl Kept {
    /// By its id; a token that names none may be any key's.
    fn matching(&self, header: &Header) -> Vec<Key> {
        let is_named = |id: &Option<String>| header.kid.is_none() || *id == header.kid;
        let keys = self.keys.iter();
        keys.filter(|(id, key)| is_named(id) && key.is_for(header.alg))
            .map(|(_, key)| key.clone())
            .collect()
    }
}
