//! Signatures as Instagram makes them, and wrong ones.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// How a delivery is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signing {
    /// With one of the app's secrets, in turn.
    Right,
    /// With a secret that is not the app's.
    Foreign,
    /// Not a full digest.
    Cut,
    /// Not at all.
    Absent,
}

/// Signs bodies with the app's secrets. It has no `Debug`, since it holds them.
pub struct Signer {
    keyed: Vec<Hmac<Sha256>>,
    foreign: Hmac<Sha256>,
}

/// There is nothing to sign with.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "no app secret to sign with: set instagram.app_secrets in the configuration file, or \
     IGSTREAM__INSTAGRAM__APP_SECRETS, to what the service has"
)]
pub struct NoSecret;

impl Signer {
    /// A signer that takes `secrets` in turn.
    ///
    /// # Errors
    /// [`NoSecret`] if the list is empty or one of the secrets is.
    pub fn new(secrets: &[String]) -> Result<Self, NoSecret> {
        let keyed = secrets
            .iter()
            .map(|secret| keyed(secret))
            .collect::<Result<Vec<_>, _>>()?;
        if keyed.is_empty() {
            return Err(NoSecret);
        }
        Ok(Self {
            keyed,
            foreign: keyed_with(b"a secret of nobody's app")?,
        })
    }

    /// The value of `X-Hub-Signature-256` for delivery `number`, if it gets one:
    /// `sha256=` and the HMAC-SHA256 of the body's bytes in hexadecimal.
    #[must_use]
    pub fn header(&self, number: u64, signing: Signing, body: &[u8]) -> Option<String> {
        let turn = usize::try_from(number).unwrap_or(0) % self.keyed.len();
        match signing {
            Signing::Right => Some(signature(&self.keyed[turn], body)),
            Signing::Foreign => Some(signature(&self.foreign, body)),
            Signing::Cut => {
                let mut header = signature(&self.keyed[turn], body);
                header.truncate(header.len() - 8);
                Some(header)
            }
            Signing::Absent => None,
        }
    }
}

fn keyed(secret: &str) -> Result<Hmac<Sha256>, NoSecret> {
    if secret.is_empty() {
        return Err(NoSecret);
    }
    keyed_with(secret.as_bytes())
}

fn keyed_with(secret: &[u8]) -> Result<Hmac<Sha256>, NoSecret> {
    // HMAC takes keys of any length, so this never fails.
    Hmac::new_from_slice(secret).map_err(|_| NoSecret)
}

fn signature(keyed: &Hmac<Sha256>, body: &[u8]) -> String {
    // The keyed state is cloned: hashing the key anew would cost a third more for small bodies.
    let mut mac = keyed.clone();
    mac.update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn signs_as_python_does() {
        // hmac.new(b"igstream-test-secret", body, hashlib.sha256).hexdigest()
        let signer = Signer::new(&["igstream-test-secret".to_owned()]).unwrap();
        let body = br#"{"object":"instagram","entry":[]}"#;
        assert_eq!(
            signer.header(0, Signing::Right, body).unwrap(),
            "sha256=c218f2de0c7e967504116ba21d7e3e499a67fd332f2ffc1272764f99c898a059"
        );
    }

    #[test]
    fn takes_the_secrets_in_turn() {
        let secrets = ["one".to_owned(), "two".to_owned()];
        let both = Signer::new(&secrets).unwrap();
        let two = Signer::new(&secrets[1..]).unwrap();
        assert_eq!(
            both.header(3, Signing::Right, b"x"),
            two.header(0, Signing::Right, b"x")
        );
        assert_ne!(
            both.header(2, Signing::Right, b"x"),
            two.header(0, Signing::Right, b"x")
        );
    }

    #[test]
    fn without_a_secret_it_says_where_to_put_one() {
        let error = Signer::new(&[]).err().unwrap().to_string();
        assert!(error.contains("instagram.app_secrets"), "{error}");
        assert!(
            error.contains("IGSTREAM__INSTAGRAM__APP_SECRETS"),
            "{error}"
        );
        assert!(Signer::new(&[String::new()]).is_err());
    }
}
