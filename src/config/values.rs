//! How single values are read: each function takes the text or number as it was given and refuses what is not allowed.
//!
//! What they say when they refuse is not shown (a value may be a secret); `keys` says what is allowed.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde::de::value::StringDeserializer;
use serde::de::{DeserializeOwned, Deserializer, Error, IntoDeserializer};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use url::Url;

use super::Secret;
use crate::vault::EncryptionKey;

/// A duration such as `4s`, above zero and at most an hour: longer ones are mistakes, and the longest overflow a clock.
pub(super) fn duration<'de, D: Deserializer<'de>>(source: D) -> Result<Duration, D::Error> {
    const LONGEST: Duration = Duration::from_hours(1);
    let text = String::deserialize(source)?;
    match humantime::parse_duration(&text) {
        Ok(duration) if !duration.is_zero() && duration <= LONGEST => Ok(duration),
        Ok(_) => Err(D::Error::custom("out of range")),
        Err(error) => Err(D::Error::custom(error)),
    }
}

/// A whole number from `MIN` to `MAX`.
pub(super) fn within<'de, D, T, const MIN: u64, const MAX: u64>(source: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<u64>,
{
    whole(u64::deserialize(source)?, MIN, MAX)
}

fn whole<T: TryFrom<u64>, E: Error>(number: u64, min: u64, max: u64) -> Result<T, E> {
    if !(min..=max).contains(&number) {
        return Err(E::custom("out of range"));
    }
    T::try_from(number).map_err(|_| E::custom("too large"))
}

/// One or more numbers of seconds, each at most a day.
pub(super) fn backoff<'de, D: Deserializer<'de>>(source: D) -> Result<Vec<Duration>, D::Error> {
    const DAY: u64 = 86_400;
    let seconds = Vec::<u64>::deserialize(source)?;
    if seconds.is_empty() {
        return Err(D::Error::custom("empty"));
    }
    seconds
        .into_iter()
        .map(|number| whole(number, 0, DAY).map(Duration::from_secs))
        .collect()
}

/// A priority from 1 to 10 for each name.
pub(super) fn priorities<'de, D: Deserializer<'de>>(
    source: D,
) -> Result<BTreeMap<String, u8>, D::Error> {
    #[derive(Deserialize)]
    struct Priority(#[serde(deserialize_with = "within::<_, _, 1, 10>")] u8);
    let priorities = BTreeMap::<String, Priority>::deserialize(source)?;
    let plain = priorities.into_iter();
    Ok(plain
        .map(|(name, Priority(priority))| (name, priority))
        .collect())
}

/// One of a closed list of words. (By itself a unit variant would also be taken by its number.)
pub(super) fn choice<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    source: D,
) -> Result<T, D::Error> {
    from_text(String::deserialize(source)?)
}

/// A value that is not set where its text is empty.
pub(super) fn optional<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    source: D,
) -> Result<Option<T>, D::Error> {
    match String::deserialize(source)? {
        text if text.is_empty() => Ok(None),
        text => from_text(text).map(Some),
    }
}

/// A value whose text is not empty.
pub(super) fn not_empty<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    source: D,
) -> Result<T, D::Error> {
    optional(source)?.ok_or_else(|| D::Error::custom("empty"))
}

fn from_text<T: DeserializeOwned, E: Error>(text: String) -> Result<T, E> {
    let text: StringDeserializer<E> = text.into_deserializer();
    T::deserialize(text)
}

/// Secrets, none of them empty.
pub(super) fn secrets<'de, D: Deserializer<'de>>(source: D) -> Result<Vec<Secret>, D::Error> {
    let texts = Vec::<String>::deserialize(source)?;
    if texts.iter().any(|text| text.trim().is_empty()) {
        return Err(D::Error::custom("empty"));
    }
    Ok(texts.into_iter().map(Secret::new).collect())
}

/// The URLs of NATS servers.
pub(super) fn nats_urls<'de, D: Deserializer<'de>>(source: D) -> Result<Vec<Secret>, D::Error> {
    let texts = Vec::<String>::deserialize(source)?;
    texts
        .into_iter()
        .map(|text| url_with(text, &["nats", "tls", "ws", "wss"]).map(Secret::new))
        .collect()
}

/// The URL of a database that there is a driver for.
pub(super) fn database_url<'de, D: Deserializer<'de>>(source: D) -> Result<Secret, D::Error> {
    let text = String::deserialize(source)?;
    url_with(text, &["sqlite", "postgres", "postgresql"]).map(Secret::new)
}

/// A URL of the web, without a slash at its end.
pub(super) fn web_url<'de, D: Deserializer<'de>>(source: D) -> Result<String, D::Error> {
    let text = url_with(String::deserialize(source)?, &["http", "https"])?;
    Ok(text.trim_end_matches('/').to_owned())
}

/// A URL of the web, or not set.
pub(super) fn optional_web_url<'de, D: Deserializer<'de>>(
    source: D,
) -> Result<Option<String>, D::Error> {
    match String::deserialize(source)? {
        text if text.is_empty() => Ok(None),
        text => web_url::<StringDeserializer<D::Error>>(text.into_deserializer()).map(Some),
    }
}

/// Origins of web pages as browsers send them, or `*`.
pub(super) fn origins<'de, D: Deserializer<'de>>(source: D) -> Result<Vec<String>, D::Error> {
    let texts = Vec::<String>::deserialize(source)?;
    if texts.iter().all(|text| text == "*" || is_origin(text)) {
        Ok(texts)
    } else {
        Err(D::Error::custom("not an origin"))
    }
}

/// Written as a browser writes it: it is compared letter by letter.
fn is_origin(text: &str) -> bool {
    let url = Url::parse(text).ok();
    url.is_some_and(|url| {
        ["http", "https"].contains(&url.scheme()) && url.origin().ascii_serialization() == text
    })
}

fn url_with<E: Error>(text: String, schemes: &[&str]) -> Result<String, E> {
    let url = Url::parse(&text).map_err(E::custom)?;
    let local = url.scheme() == "sqlite";
    let socket = url.scheme().starts_with("postgres") && url.has_authority();
    if schemes.contains(&url.scheme()) && (local || socket || url.has_host()) {
        Ok(text)
    } else {
        Err(E::custom("another scheme, or no host"))
    }
}

/// A version of the Graph API, `v25.0`.
pub(super) fn graph_version<'de, D: Deserializer<'de>>(source: D) -> Result<String, D::Error> {
    let text = String::deserialize(source)?;
    let numbers = text.strip_prefix('v').and_then(|rest| rest.split_once('.'));
    match numbers {
        Some((major, minor)) if major.parse::<u16>().is_ok() && minor.parse::<u16>().is_ok() => {
            Ok(text)
        }
        _ => Err(D::Error::custom("not a version")),
    }
}

/// The digits of an app's number, or not set.
pub(super) fn app_id<'de, D: Deserializer<'de>>(source: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(source)?;
    if text.is_empty() {
        return Ok(None);
    }
    let is_number = text.len() <= 20 && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number
        .then_some(Some(text))
        .ok_or_else(|| D::Error::custom("not a number"))
}

/// A key that tokens are encrypted with, or not set.
pub(super) fn encryption_key<'de, D: Deserializer<'de>>(
    source: D,
) -> Result<Option<EncryptionKey>, D::Error> {
    match String::deserialize(source)? {
        text if text.is_empty() => Ok(None),
        text => text.parse().map(Some).map_err(D::Error::custom),
    }
}

/// Any number of them.
pub(super) fn encryption_keys<'de, D: Deserializer<'de>>(
    source: D,
) -> Result<Vec<EncryptionKey>, D::Error> {
    let texts = Vec::<String>::deserialize(source)?;
    let keys = texts.iter().map(|text| text.parse());
    keys.collect::<Result<_, _>>().map_err(D::Error::custom)
}

/// Directives that the log filter understands.
pub(super) fn log_level<'de, D: Deserializer<'de>>(source: D) -> Result<String, D::Error> {
    let text = String::deserialize(source)?;
    // The filter takes any word for the name of a module: with a mistyped level nothing would be logged.
    let is_known = |part: &str| part.contains(['=', '[']) || part.parse::<LevelFilter>().is_ok();
    if !text.split(',').map(str::trim).all(is_known) {
        return Err(D::Error::custom("not a level"));
    }
    EnvFilter::try_new(&text)
        .map(|_| text)
        .map_err(D::Error::custom)
}
