//! HMAC-SHA256 over the bytes as received, made with one of the app's secrets.
//!
//! Source: Meta, "Webhooks: Validating Payloads" (`X-Hub-Signature-256`). A
//! second secret is normal: an app with Instagram Login has an Instagram app
//! secret beside its Facebook app secret, and a rotation has two for a while.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The header that carries the signature.
pub const SIGNATURE_HEADER: &str = "x-hub-signature-256";

const PREFIX: &str = "sha256=";
pub(super) const DIGEST_BYTES: usize = 32;

/// Why a body is not believed. None of these says anything about the secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// No `X-Hub-Signature-256` header (a SHA-1 one alone does not count).
    #[error("the header X-Hub-Signature-256 is missing")]
    Absent,
    /// The header is not `sha256=` and 64 hexadecimal digits.
    #[error("the header X-Hub-Signature-256 is not `sha256=` and 64 hexadecimal digits")]
    Malformed,
    /// No configured secret makes this signature over this body.
    #[error("no configured app secret makes this signature over this body")]
    Wrong,
}

/// What can be said later of a signature that was good once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recheck {
    /// The secret that made it makes it still.
    Holds,
    /// The secret that made it does not make it over this body.
    Broken,
    /// The secret that made it is not configured any more.
    SecretGone,
}

/// The app secrets, ready for use: each keyed once and cloned for a body.
#[derive(Clone)]
pub struct AppSecrets(Vec<Keyed>);

#[derive(Clone)]
struct Keyed {
    mac: Hmac<Sha256>,
    id: String,
}

impl std::fmt::Debug for AppSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|keyed| &keyed.id))
            .finish()
    }
}

impl AppSecrets {
    /// Keys an HMAC with each secret, in the order given.
    #[must_use]
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        Self(secrets.into_iter().filter_map(Keyed::new).collect())
    }

    /// Checks `header` (the value of `X-Hub-Signature-256`) against `body` with
    /// each secret, in constant time a secret; returns the id of the one that
    /// made it.
    pub fn verify(&self, header: Option<&[u8]>, body: &[u8]) -> Result<&str, SignatureError> {
        let claimed = parse(header.ok_or(SignatureError::Absent)?)?;
        self.0
            .iter()
            .find(|keyed| keyed.made(&claimed, body))
            .map(|keyed| keyed.id.as_str())
            .ok_or(SignatureError::Wrong)
    }

    /// The id of the secret that made `claimed` over `message`; constant time a secret.
    pub(super) fn made_by(&self, claimed: &[u8; DIGEST_BYTES], message: &[u8]) -> Option<&str> {
        let made = self.0.iter().find(|keyed| keyed.made(claimed, message));
        made.map(|keyed| keyed.id.as_str())
    }

    /// Whether any secret makes a MAC of `message` that begins so; constant time a secret.
    pub(super) fn made_the_beginning(&self, claimed: &[u8], message: &[u8]) -> bool {
        self.0.iter().any(|keyed| {
            let mut mac = keyed.mac.clone();
            mac.update(message);
            mac.verify_truncated_left(claimed).is_ok()
        })
    }

    /// What the secret `id` makes of `message`; nothing but zeros of a secret that is not there.
    pub(super) fn mac(&self, id: &str, message: &[u8]) -> [u8; DIGEST_BYTES] {
        let keyed = self.0.iter().find(|keyed| keyed.id == id);
        keyed.map_or([0; DIGEST_BYTES], |keyed| {
            let mut mac = keyed.mac.clone();
            mac.update(message);
            mac.finalize().into_bytes().into()
        })
    }

    /// Checks once more what the secret `id` made, as [`AppSecrets::verify`] named it.
    #[must_use]
    pub fn recheck(&self, id: &str, header: &str, body: &[u8]) -> Recheck {
        let Some(keyed) = self.0.iter().find(|keyed| keyed.id == id) else {
            return Recheck::SecretGone;
        };
        match parse(header.as_bytes()) {
            Ok(claimed) if keyed.made(&claimed, body) => Recheck::Holds,
            _ => Recheck::Broken,
        }
    }
}

impl Keyed {
    fn new(secret: &str) -> Option<Self> {
        // HMAC takes a key of any length: this never yields `None`.
        let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).ok()?;
        let id = key_id(mac.clone());
        Some(Self { mac, id })
    }

    fn made(&self, claimed: &[u8; DIGEST_BYTES], body: &[u8]) -> bool {
        let mut mac = self.mac.clone();
        mac.update(body);
        mac.verify_slice(claimed).is_ok()
    }
}

/// Names a secret without giving it away: 32 bits of a MAC made with it.
fn key_id(mut mac: Hmac<Sha256>) -> String {
    mac.update(b"igstream app secret id");
    hex::encode(&mac.finalize().into_bytes()[..4])
}

/// The header's value for `body`, as Instagram would make it with `secret`.
#[must_use]
pub fn sign(secret: &str, body: &[u8]) -> String {
    Keyed::new(secret).map_or_else(String::new, |keyed| {
        let mut mac = keyed.mac;
        mac.update(body);
        format!("{PREFIX}{}", hex::encode(mac.finalize().into_bytes()))
    })
}

/// Upper-case digits are taken too: proxies have been seen to make them so.
fn parse(header: &[u8]) -> Result<[u8; DIGEST_BYTES], SignatureError> {
    let text = std::str::from_utf8(header).map_err(|_| SignatureError::Malformed)?;
    let digits = text.trim().strip_prefix(PREFIX);
    let mut digest = [0; DIGEST_BYTES];
    hex::decode_to_slice(digits.ok_or(SignatureError::Malformed)?, &mut digest)
        .map_err(|_| SignatureError::Malformed)?;
    Ok(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231, test case 2.
    const KEY: &str = "Jefe";
    const BODY: &[u8] = b"what do ya want for nothing?";
    const HEADER: &str = "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";

    #[test]
    fn makes_and_takes_the_published_signature() {
        let secrets = AppSecrets::new([KEY]);
        assert_eq!(sign(KEY, BODY), HEADER);
        assert!(secrets.verify(Some(HEADER.as_bytes()), BODY).is_ok());
        assert!(
            secrets
                .verify(Some(HEADER.replacen("5bdc", "5BDC", 1).as_bytes()), BODY)
                .is_ok()
        );
    }

    #[test]
    fn any_of_several_secrets_is_good_and_is_named() {
        let secrets = AppSecrets::new(["other", KEY]);
        let alone = AppSecrets::new([KEY]);
        assert_eq!(
            secrets.verify(Some(HEADER.as_bytes()), BODY),
            alone.verify(Some(HEADER.as_bytes()), BODY)
        );
        assert!(!format!("{secrets:?}").contains(KEY));
    }

    #[test]
    fn a_good_signature_is_checked_again_with_the_secret_that_made_it() {
        let secrets = AppSecrets::new(["other", KEY]);
        let id = secrets
            .verify(Some(HEADER.as_bytes()), BODY)
            .unwrap_or_default();
        assert_eq!(secrets.recheck(id, HEADER, BODY), Recheck::Holds);
        assert_eq!(
            secrets.recheck(id, HEADER, b"another body"),
            Recheck::Broken
        );
        let rotated = AppSecrets::new(["other"]);
        assert_eq!(rotated.recheck(id, HEADER, BODY), Recheck::SecretGone);
    }

    #[test]
    fn tells_apart_what_is_wrong() {
        let secrets = AppSecrets::new([KEY]);
        let said = |header: Option<&str>| secrets.verify(header.map(str::as_bytes), BODY).err();
        assert_eq!(said(None), Some(SignatureError::Absent));
        assert_eq!(said(Some("sha1=0123")), Some(SignatureError::Malformed));
        assert_eq!(said(Some("sha256=xyz")), Some(SignatureError::Malformed));
        assert_eq!(
            said(Some(&format!("sha256={}", "g".repeat(64)))),
            Some(SignatureError::Malformed)
        );
        assert_eq!(
            said(Some(&format!("sha256={}", "0".repeat(64)))),
            Some(SignatureError::Wrong)
        );
    }
}
