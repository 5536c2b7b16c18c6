//! The `signed_request` of Meta's callbacks: who asks to be forgotten.
//!
//! Source: Meta, "Data Deletion Request Callback" and "Deauthorize Callback": two parts of base64url with a dot
//! between them; the first is the HMAC-SHA256, by the app secret, of the second as it stands there, encoded. The
//! `user_id` is scoped to the app: `id` of `/me`, not the id that webhooks have in `entry.id`.

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;

use super::signature::{AppSecrets, DIGEST_BYTES};

const ALGORITHM: &str = "HMAC-SHA256";
/// Bytes of a code that come from the request, and as many that show that we made it.
const HALF_OF_A_CODE: usize = 10;
/// So that no message of ours is one of Meta's.
const OF_REQUEST: &[u8] = b"igstream confirmation code of ";
const OF_CODE: &[u8] = b"igstream confirmation code beginning with ";

/// Padded or not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Why a signed request is not believed. None of these says anything about the secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignedRequestError {
    /// There is none.
    #[error("the form field signed_request is missing")]
    Absent,
    /// It does not have its form, or says nothing of a user.
    #[error("signed_request is not a signature and a payload as Meta makes them: {0}")]
    Malformed(&'static str),
    /// No configured secret makes this signature.
    #[error("no configured app secret makes this signature over this signed_request")]
    Wrong,
}

/// A request whose signature is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedRequest {
    /// The app-scoped id of who asks.
    pub user_id: String,
    /// When it was asked; when it came, if it does not say.
    pub issued_at: DateTime<Utc>,
    /// The code under which its progress can be asked for: the same again for the same request.
    pub confirmation_code: String,
}

#[derive(Deserialize)]
struct Payload {
    algorithm: Option<String>,
    user_id: Option<Value>,
    issued_at: Option<i64>,
}

impl SignedRequest {
    /// Checks the signature with each secret, in constant time a secret, and reads what is signed.
    pub fn read(
        text: Option<&str>,
        secrets: &AppSecrets,
        now: DateTime<Utc>,
    ) -> Result<Self, SignedRequestError> {
        let text = text
            .filter(|text| !text.is_empty())
            .ok_or(SignedRequestError::Absent)?;
        let (signature, encoded) = text
            .split_once('.')
            .ok_or(SignedRequestError::Malformed("there is no dot in it"))?;
        let claimed = digest(signature)?;
        let secret = secrets
            .made_by(&claimed, encoded.as_bytes())
            .ok_or(SignedRequestError::Wrong)?;
        let payload = payload(encoded)?;
        Ok(Self {
            user_id: user_id(payload.user_id)?,
            issued_at: payload
                .issued_at
                .and_then(|seconds| DateTime::from_timestamp(seconds, 0))
                .unwrap_or(now),
            confirmation_code: code_for(secrets, secret, encoded),
        })
    }
}

/// Whether a code was given by [`SignedRequest::read`] under one of these secrets.
#[must_use]
pub fn is_confirmation_code(code: &str, secrets: &AppSecrets) -> bool {
    let mut bytes = [0; 2 * HALF_OF_A_CODE];
    if hex::decode_to_slice(code, &mut bytes).is_err() || code != code.to_lowercase() {
        return false;
    }
    let (beginning, end) = bytes.split_at(HALF_OF_A_CODE);
    secrets.made_the_beginning(end, &[OF_CODE, beginning].concat())
}

fn digest(signature: &str) -> Result<[u8; DIGEST_BYTES], SignedRequestError> {
    let bytes = BASE64.decode(signature).ok();
    bytes
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or(SignedRequestError::Malformed(
            "the part before the dot is not 32 bytes of base64url",
        ))
}

fn payload(encoded: &str) -> Result<Payload, SignedRequestError> {
    let bytes = BASE64
        .decode(encoded)
        .map_err(|_| SignedRequestError::Malformed("the part after the dot is not base64url"))?;
    let payload: Payload = serde_json::from_slice(&bytes)
        .map_err(|_| SignedRequestError::Malformed("the payload is not the JSON of one"))?;
    let algorithm = payload.algorithm.as_deref().unwrap_or(ALGORITHM);
    if algorithm.eq_ignore_ascii_case(ALGORITHM) {
        Ok(payload)
    } else {
        Err(SignedRequestError::Malformed(
            "its algorithm is not HMAC-SHA256",
        ))
    }
}

fn user_id(told: Option<Value>) -> Result<String, SignedRequestError> {
    let id = match told {
        Some(Value::String(id)) => id,
        Some(Value::Number(id)) => id.to_string(),
        _ => String::new(),
    };
    let is_id = (1..=255).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
    is_id.then_some(id).ok_or(SignedRequestError::Malformed(
        "the payload names no user_id",
    ))
}

/// Not to be guessed, nor made, without the secret; no two requests share one.
fn code_for(secrets: &AppSecrets, secret: &str, encoded: &str) -> String {
    let mac = |message: &[&[u8]]| secrets.mac(secret, &message.concat());
    let beginning = mac(&[OF_REQUEST, encoded.as_bytes()]);
    let beginning = &beginning[..HALF_OF_A_CODE];
    let end = mac(&[OF_CODE, beginning]);
    hex::encode([beginning, &end[..HALF_OF_A_CODE]].concat())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";
    const PAYLOAD: &str =
        r#"{"user_id":"218471","algorithm":"HMAC-SHA256","issued_at":1291836800}"#;

    /// As Meta makes it.
    fn sign_request(secret: &str, payload: &str) -> String {
        use base64::engine::general_purpose::URL_SAFE_NO_PAD;
        let encoded = URL_SAFE_NO_PAD.encode(payload);
        let header = crate::instagram::signature::sign(secret, encoded.as_bytes());
        let digest = hex::decode(header.trim_start_matches("sha256=")).unwrap();
        format!("{}.{encoded}", URL_SAFE_NO_PAD.encode(digest))
    }

    fn secrets() -> AppSecrets {
        AppSecrets::new(["another", SECRET])
    }

    fn read(text: &str) -> Result<SignedRequest, SignedRequestError> {
        SignedRequest::read(Some(text), &secrets(), Utc::now())
    }

    fn refused_as(text: &str) -> &'static str {
        match read(text).unwrap_err() {
            SignedRequestError::Absent => "absent",
            SignedRequestError::Malformed(what) => what,
            SignedRequestError::Wrong => "wrong",
        }
    }

    /// The example of Meta's own documentation ("Data Deletion Request Callback" calls it
    /// `parse_signed_request`), whose secret is the word `secret`.
    #[test]
    fn the_published_example_is_read() {
        let published = "vlXgu64BQGFSQrY0ZcJBZASMvYvTHu9GQ0YM9rjPSso.eyJhbGdvcml0aG0iOiJITUFDLVNIQTI1NiIsIjAiOiJwYXlsb2FkIn0";
        let read = SignedRequest::read(Some(published), &AppSecrets::new(["secret"]), Utc::now());
        let unnamed = SignedRequestError::Malformed("the payload names no user_id");
        assert_eq!(
            read,
            Err(unnamed),
            "its signature is good, its payload no user's"
        );
    }

    #[test]
    fn any_of_several_secrets_is_good() {
        let request = read(&sign_request(SECRET, PAYLOAD)).unwrap();
        assert_eq!(request.user_id, "218471");
        assert_eq!(request.issued_at.timestamp(), 1_291_836_800);
        let number = PAYLOAD.replace("\"218471\"", "21847100000000000001");
        let request = read(&sign_request(SECRET, &number)).unwrap();
        assert_eq!(request.user_id, "21847100000000000001");
    }

    #[test]
    fn what_is_wrong_is_told_apart() {
        let good = sign_request(SECRET, PAYLOAD);
        let (signature, encoded) = good.split_once('.').unwrap();
        let other = sign_request(SECRET, &PAYLOAD.replace("218471", "9"));
        let (_, swapped) = other.split_once('.').unwrap();
        for (text, refused) in [
            ("", "absent"),
            ("nothing", "there is no dot in it"),
            (".", "the part before the dot is not 32 bytes of base64url"),
            (
                &format!("c2hvcnQ.{encoded}"),
                "the part before the dot is not 32 bytes of base64url",
            ),
            (&format!("{signature}.{swapped}"), "wrong"),
            (&format!("{signature}.{encoded}="), "wrong"),
            (&sign_request("unknown", PAYLOAD), "wrong"),
            (
                &sign_request(SECRET, "no json"),
                "the payload is not the JSON of one",
            ),
            (
                &sign_request(SECRET, &PAYLOAD.replace("SHA256", "SHA1")),
                "its algorithm is not HMAC-SHA256",
            ),
            (
                &sign_request(SECRET, &PAYLOAD.replace("\"218471\"", "null")),
                "the payload names no user_id",
            ),
            (
                &sign_request(SECRET, &PAYLOAD.replace("218471", "a b")),
                "the payload names no user_id",
            ),
        ] {
            assert_eq!(refused_as(text), refused, "{text}");
        }
        let absent = SignedRequest::read(None, &secrets(), Utc::now());
        assert_eq!(absent, Err(SignedRequestError::Absent));
    }

    #[test]
    fn a_code_is_the_requests_own_and_known_again() {
        let code = |payload: &str| {
            read(&sign_request(SECRET, payload))
                .unwrap()
                .confirmation_code
        };
        let first = code(PAYLOAD);
        assert_eq!(first, code(PAYLOAD));
        assert_ne!(first, code(&PAYLOAD.replace("1291836800", "1291836801")));
        assert!(first.len() == 40 && first.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert!(is_confirmation_code(&first, &secrets()));
        let flipped = if first.ends_with('0') { "1" } else { "0" };
        for wrong in [
            "",
            "abc123",
            &first.to_uppercase(),
            &format!("{}{flipped}", &first[..39]),
            &"0".repeat(40),
        ] {
            assert!(!is_confirmation_code(wrong, &secrets()), "{wrong}");
        }
        assert!(!is_confirmation_code(&first, &AppSecrets::new(["another"])));
    }
}
