//! Access tokens at rest: encrypted, each for the account that it belongs to.
//!
//! `XChaCha20-Poly1305` of `RustCrypto`, whose nonce is long enough to be drawn at random for every token. What is
//! stored is `v1.{key id}.{base64url(nonce, ciphertext, tag)}`. The account's row id is authenticated with it: moved
//! to another row, it does not decrypt.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, URL_SAFE_NO_PAD};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::secret::Secret;

const VERSION: &str = "v1";
const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;
/// So that a token of this kind is never taken for another kind of secret of the same row.
const DOMAIN: &[u8] = b"igstream access token v1";
/// Longer than any token of Meta's.
pub const LONGEST_TOKEN: usize = 4096;

/// A key of 32 bytes. It shows itself nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct EncryptionKey([u8; KEY_BYTES]);

/// A text that is no key. It says nothing of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not 32 bytes as 64 hexadecimal digits or as base64")]
pub struct NoKey;

impl FromStr for EncryptionKey {
    type Err = NoKey;

    fn from_str(text: &str) -> Result<Self, NoKey> {
        let text = text.trim();
        let mut key = [0; KEY_BYTES];
        if hex::decode_to_slice(text, &mut key).is_ok() {
            return Ok(Self(key));
        }
        let bytes = [STANDARD, URL_SAFE]
            .iter()
            .find_map(|alphabet| lenient(alphabet).decode(text).ok());
        let bytes = bytes.ok_or(NoKey)?;
        bytes.try_into().map(Self).map_err(|_| NoKey)
    }
}

fn lenient(alphabet: &base64::alphabet::Alphabet) -> GeneralPurpose {
    let config =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    GeneralPurpose::new(alphabet, config)
}

impl fmt::Debug for EncryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EncryptionKey(…)")
    }
}

/// Why a token cannot be sealed or opened. None of these says anything of the token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// There is no key to seal with.
    #[error(
        "accounts.encryption_key is not set: no access token can be stored or read; set it (`openssl rand -hex 32`) in the configuration file, as IGSTREAM__ACCOUNTS__ENCRYPTION_KEY, or name a file with accounts.encryption_key_file"
    )]
    NoKey,
    /// It is no token that Meta would issue.
    #[error(
        "an access token is one line of printable characters, {LONGEST_TOKEN} at most: what was given is not"
    )]
    NoToken,
    /// It was sealed with a key that is not configured.
    #[error(
        "the stored access token was encrypted with the key {key_id}, which is not configured; add that key to accounts.previous_encryption_keys, or store the token anew"
    )]
    UnknownKey {
        /// The id of that key.
        key_id: String,
    },
    /// It is not what was sealed for this account.
    #[error(
        "the stored access token is not what was stored for this account: it was changed or moved; store the token anew"
    )]
    Broken,
}

/// Seals and opens access tokens.
#[derive(Clone, Default)]
pub struct Vault {
    current: Option<Key>,
    previous: Vec<Key>,
}

#[derive(Clone)]
struct Key {
    id: String,
    cipher: XChaCha20Poly1305,
}

/// The stored text, taken apart.
struct Sealed<'a> {
    key_id: &'a str,
    nonce: XNonce,
    ciphertext: Vec<u8>,
}

impl Vault {
    /// With the key that seals, and those that only open.
    #[must_use]
    pub fn new(current: Option<&EncryptionKey>, previous: &[EncryptionKey]) -> Self {
        Self {
            current: current.map(Key::new),
            previous: previous.iter().map(Key::new).collect(),
        }
    }

    /// Whether tokens can be stored.
    pub fn require_key(&self) -> Result<(), VaultError> {
        self.current.as_ref().map(|_| ()).ok_or(VaultError::NoKey)
    }

    /// Encrypts the token of the account whose row has this id.
    pub fn seal(&self, account: Uuid, token: &Secret) -> Result<String, VaultError> {
        let key = self.current.as_ref().ok_or(VaultError::NoKey)?;
        let token = token.expose();
        if !is_token(token) {
            return Err(VaultError::NoToken);
        }
        let nonce: [u8; NONCE_BYTES] = rand::random();
        let payload = Payload {
            msg: token.as_bytes(),
            aad: &associated(account),
        };
        // Only a text beyond 256 GiB could not be encrypted.
        let ciphertext = key
            .cipher
            .encrypt(&XNonce::from(nonce), payload)
            .map_err(|_| VaultError::NoToken)?;
        let bytes = [&nonce[..], &ciphertext].concat();
        let text = URL_SAFE_NO_PAD.encode(bytes);
        Ok(format!("{VERSION}.{}.{text}", key.id))
    }

    /// Decrypts what was stored for that account.
    pub fn open(&self, account: Uuid, stored: &str) -> Result<Secret, VaultError> {
        let sealed = Sealed::parse(stored).ok_or(VaultError::Broken)?;
        let key = self.key(sealed.key_id)?;
        let payload = Payload {
            msg: &sealed.ciphertext,
            aad: &associated(account),
        };
        let opened = key.cipher.decrypt(&sealed.nonce, payload);
        let opened = opened.map_err(|_| VaultError::Broken)?;
        let text = String::from_utf8(opened).map_err(|_| VaultError::Broken)?;
        Ok(Secret::new(text))
    }

    /// The same token sealed with the current key; `None` where it is already.
    pub fn reseal(&self, account: Uuid, stored: &str) -> Result<Option<String>, VaultError> {
        self.require_key()?;
        let token = self.open(account, stored)?;
        if self.is_current(stored) {
            return Ok(None);
        }
        self.seal(account, &token).map(Some)
    }

    fn is_current(&self, stored: &str) -> bool {
        let current = self.current.as_ref().map(|key| key.id.as_str());
        Sealed::parse(stored).is_some_and(|sealed| Some(sealed.key_id) == current)
    }

    fn key(&self, id: &str) -> Result<&Key, VaultError> {
        if self.current.is_none() && self.previous.is_empty() {
            return Err(VaultError::NoKey);
        }
        let mut keys = self.current.iter().chain(&self.previous);
        keys.find(|key| key.id == id)
            .ok_or_else(|| VaultError::UnknownKey {
                key_id: id.to_owned(),
            })
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.current.iter().chain(&self.previous);
        f.debug_list().entries(keys.map(|key| &key.id)).finish()
    }
}

impl Key {
    fn new(key: &EncryptionKey) -> Self {
        Self {
            id: key_id(key),
            cipher: XChaCha20Poly1305::new(&key.0.into()),
        }
    }
}

/// Whether a text can be an access token.
#[must_use]
pub fn is_token(text: &str) -> bool {
    let is_printable = text.bytes().all(|byte| byte.is_ascii_graphic());
    (1..=LONGEST_TOKEN).contains(&text.len()) && is_printable
}

/// Names a key without giving it away: 32 bits of a digest of it.
fn key_id(key: &EncryptionKey) -> String {
    let digest = Sha256::new()
        .chain_update(b"igstream encryption key id")
        .chain_update(key.0)
        .finalize();
    hex::encode(&digest[..4])
}

fn associated(account: Uuid) -> Vec<u8> {
    [DOMAIN, account.as_bytes()].concat()
}

impl<'a> Sealed<'a> {
    fn parse(stored: &'a str) -> Option<Self> {
        let rest = stored.strip_prefix(VERSION)?.strip_prefix('.')?;
        let (key_id, text) = rest.split_once('.')?;
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (nonce, ciphertext) = bytes.split_first_chunk::<NONCE_BYTES>()?;
        Some(Self {
            key_id,
            nonce: XNonce::from(*nonce),
            ciphertext: ciphertext.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    const OLD: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    const NEW: &str = "8J+UkfCflJHwn5SR8J+UkfCflJHwn5SR8J+UkfCflJE=";
    const TOKEN: &str = "IGQVJtoken";

    fn key(text: &str) -> EncryptionKey {
        text.parse().unwrap()
    }

    fn old() -> Vault {
        Vault::new(Some(&key(OLD)), &[])
    }

    fn both() -> Vault {
        Vault::new(Some(&key(NEW)), &[key(OLD)])
    }

    fn account() -> Uuid {
        Uuid::from_u128(1)
    }

    fn sealed(vault: &Vault) -> String {
        vault.seal(account(), &Secret::new(TOKEN)).unwrap()
    }

    #[test]
    fn a_key_is_read_as_hex_or_as_any_base64() {
        for same in [
            OLD.to_uppercase().as_str(),
            "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
            "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\n",
        ] {
            assert_eq!(key(same), key(OLD), "{same}");
        }
        let all_ones = key(&"ff".repeat(32));
        for same in ["/".repeat(42) + "8=", "_".repeat(42) + "8"] {
            assert_eq!(key(&same), all_ones, "{same}");
        }
        for wrong in ["", "short", &OLD[2..], &format!("{OLD}00"), &"g".repeat(64)] {
            assert_eq!(wrong.parse::<EncryptionKey>(), Err(NoKey), "{wrong}");
        }
        assert!(!format!("{:?} {:?}", key(OLD), old()).contains("0001"));
    }

    #[test]
    fn what_is_sealed_opens_for_its_account_alone() {
        let stored = sealed(&old());
        assert!(
            stored.starts_with("v1.") && !stored.contains(TOKEN),
            "{stored}"
        );
        assert_ne!(stored, sealed(&old()), "the nonce is another one each time");
        assert_eq!(old().open(account(), &stored).unwrap().expose(), TOKEN);
        let moved = old().open(Uuid::from_u128(2), &stored);
        assert_eq!(moved.unwrap_err(), VaultError::Broken);
    }

    #[test]
    fn what_was_changed_does_not_open() {
        let stored = sealed(&old());
        let mut changed = stored.clone().into_bytes();
        let last = changed.len() - 3;
        changed[last] = if changed[last] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        let other_version = stored.replacen("v1.", "v2.", 1);
        for broken in [changed.as_str(), &other_version, &stored[..20], "", "v1.x"] {
            let opened = old().open(account(), broken);
            assert_eq!(opened.unwrap_err(), VaultError::Broken, "{broken}");
        }
    }

    #[test]
    fn a_key_can_be_rotated() {
        let stored = sealed(&old());
        assert_eq!(both().open(account(), &stored).unwrap().expose(), TOKEN);
        let anew = both().reseal(account(), &stored).unwrap().unwrap();
        assert_eq!(both().reseal(account(), &anew).unwrap(), None);
        let new_alone = Vault::new(Some(&key(NEW)), &[]);
        assert_eq!(new_alone.open(account(), &anew).unwrap().expose(), TOKEN);
        let key_id = key_id(&key(OLD));
        let unknown = new_alone.reseal(account(), &stored).unwrap_err();
        assert_eq!(unknown, VaultError::UnknownKey { key_id });
    }

    #[test]
    fn without_a_key_the_key_to_set_is_named() {
        let none = Vault::default();
        let refused = none.seal(account(), &Secret::new(TOKEN)).unwrap_err();
        assert!(refused.to_string().contains("accounts.encryption_key"));
        let unread = none.open(account(), &sealed(&old()));
        assert_eq!(unread.unwrap_err(), VaultError::NoKey);
    }

    #[test]
    fn what_is_no_token_is_refused() {
        for wrong in ["", "two words", "a\nb", &"x".repeat(LONGEST_TOKEN + 1)] {
            let refused = old().seal(account(), &Secret::new(wrong));
            assert_eq!(refused, Err(VaultError::NoToken));
        }
    }
}
