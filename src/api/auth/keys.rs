//! The keys that tokens are signed with. The algorithm is the key's: a token that names another one is refused, so
//! that a public key is never taken for a shared secret.

use std::path::PathBuf;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, crypto, decode};
use serde_json::{Map, Value};

/// A modulus of 2048 bits: less is not allowed. Source: RFC 7518, 3.3.
const SHORTEST_RSA_BYTES: usize = 256;

/// Why the public key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read.
    #[error("auth.jwt_public_key_file: cannot read the file {}: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: std::io::Error,
    },
    /// It holds something else.
    #[error(
        "auth.jwt_public_key_file: {} {what}; it must hold a public key (PEM, `BEGIN PUBLIC KEY`): RSA of at least 2048 bits, EC on P-256, or Ed25519",
        path.display()
    )]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What it holds.
        what: &'static str,
    },
    /// No client for the keys of the identity provider can be made.
    #[error("auth.jwks_url: no HTTPS client can be made: {0}")]
    Client(#[from] reqwest::Error),
}

/// A key, and the one algorithm that it is for.
#[derive(Debug, Clone)]
pub(super) struct Key {
    algorithm: Algorithm,
    key: DecodingKey,
}

impl Key {
    /// HS256.
    pub(super) fn secret(secret: &str) -> Self {
        Self {
            algorithm: Algorithm::HS256,
            key: DecodingKey::from_secret(secret.as_bytes()),
        }
    }

    /// RS256, ES256 or `EdDSA`, by what the PEM holds.
    pub(super) fn public(pem: &[u8]) -> Result<Self, &'static str> {
        type Read = fn(&[u8]) -> jsonwebtoken::errors::Result<DecodingKey>;
        let text = String::from_utf8_lossy(pem);
        if text.contains("PRIVATE KEY") {
            return Err("holds a private key, which igstream must not have");
        }
        if !text.contains("PUBLIC KEY") {
            return Err("holds no public key");
        }
        let kinds: [(Algorithm, Read); 3] = [
            (Algorithm::ES256, DecodingKey::from_ec_pem),
            (Algorithm::EdDSA, DecodingKey::from_ed_pem),
            (Algorithm::RS256, DecodingKey::from_rsa_pem),
        ];
        let key = kinds.into_iter().find_map(|(algorithm, read)| {
            let key = read(pem).ok()?;
            Some(Self { algorithm, key })
        });
        key.ok_or("cannot be read as one")?
            .usable()
            .ok_or("holds a key of another kind")
    }

    /// A key of an identity provider's, unless it is for something else. A shared secret is none: everybody can
    /// read the set.
    pub(super) fn of_set(jwk: &Jwk) -> Option<Self> {
        let is_for_signatures = matches!(
            jwk.common.public_key_use,
            None | Some(PublicKeyUse::Signature)
        );
        let algorithm = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => Algorithm::RS256,
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
                Algorithm::ES256
            }
            AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
                Algorithm::EdDSA
            }
            _ => return None,
        };
        let named = jwk.common.key_algorithm;
        if !is_for_signatures || named.is_some_and(|named| named != KeyAlgorithm::from(algorithm)) {
            return None;
        }
        let key = DecodingKey::from_jwk(jwk).ok()?;
        Self { algorithm, key }.usable()
    }

    /// A point that is not on the curve, or a modulus that is too short, is no key.
    fn usable(self) -> Option<Self> {
        let is_long_enough = match self.key.kind() {
            _ if self.algorithm != Algorithm::RS256 => true,
            jsonwebtoken::DecodingKeyKind::SecretOrDer(der) => der.len() > SHORTEST_RSA_BYTES,
            jsonwebtoken::DecodingKeyKind::RsaModulusExponent { n, .. } => {
                n.len() >= SHORTEST_RSA_BYTES
            }
        };
        let can_verify = crypto::verify("", b"", &self.key, self.algorithm).is_ok();
        (is_long_enough && can_verify).then_some(self)
    }

    /// Whether tokens of this algorithm can be its.
    pub(super) fn is_for(&self, algorithm: Algorithm) -> bool {
        self.algorithm == algorithm
    }

    /// What the token says, if this key signed it. Times and the like are not looked at.
    pub(super) fn open(&self, token: &str) -> Option<Map<String, Value>> {
        let mut validation = Validation::new(self.algorithm);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        decode(token, &self.key, &validation)
            .ok()
            .map(|data| data.claims)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const P256: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEEVs/o5+uQbTjL3chynL4wXgUg2R9
q9UU8I5mEovUf86QZ7kOBIjJwqnzD1omageEHWwHdBO6B+dFabmdT9POxg==
-----END PUBLIC KEY-----";

    #[test]
    fn a_public_key_says_its_algorithm() {
        let key = Key::public(P256.as_bytes());
        assert!(key.is_ok_and(|key| key.is_for(Algorithm::ES256)));
        assert!(Key::public(b"").is_err());
        assert!(
            Key::public(b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----").is_err()
        );
        let private = P256.replace("PUBLIC", "PRIVATE");
        assert_eq!(
            Key::public(private.as_bytes()).err(),
            Some("holds a private key, which igstream must not have")
        );
    }
}
