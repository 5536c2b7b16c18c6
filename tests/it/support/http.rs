//! Instagram's side of HTTP, and what a delivery looks like on the wire.

use std::{net::SocketAddr, sync::OnceLock};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use reqwest::{Client, RequestBuilder, header::HeaderMap};
use serde_json::Value;
use sha2::Sha256;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// The secrets that the services under test have.
pub const SECRETS: [&str; 2] = ["igstream-test-secret-old", "igstream-test-secret-new"];
/// The token of their handshake.
pub const VERIFY_TOKEN: &str = "igstream-test-token";

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.body))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// A client that goes through no proxy.
pub fn client() -> Client {
    static CLIENT: OnceLock<()> = OnceLock::new();
    CLIENT.get_or_init(|| {
        // An error only says that it was installed before.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
    Client::builder().no_proxy().build().expect("a client")
}

/// Sends it; an error when nothing answers.
pub async fn send(request: RequestBuilder) -> reqwest::Result<Answer> {
    let response = request.send().await?;
    Ok(Answer {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        body: response.text().await?,
    })
}

pub async fn get(url: &str) -> reqwest::Result<Answer> {
    send(client().get(url)).await
}

/// `X-Hub-Signature-256` as Instagram makes it.
pub fn signature(secret: &str, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any key will do");
    mac.update(body.as_bytes());
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

/// A `signed_request` as Meta makes it for the callbacks.
pub fn signed_request(secret: &str, payload: &Value) -> String {
    let encoded = URL_SAFE_NO_PAD.encode(payload.to_string());
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any key will do");
    mac.update(encoded.as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
    format!("{signature}.{encoded}")
}

/// A request written by hand, byte for byte, so that it can stop in the middle.
pub struct RawRequest(TcpStream);

impl RawRequest {
    pub async fn start(address: SocketAddr, head: &str) -> Self {
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        let head = format!("{head}\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream
            .write_all(head.as_bytes())
            .await
            .expect("the head can be sent");
        Self(stream)
    }

    pub async fn write(&mut self, bytes: &str) {
        self.0
            .write_all(bytes.as_bytes())
            .await
            .expect("the body can be sent");
    }

    /// The status and the whole answer.
    pub async fn answer(mut self) -> (u16, String) {
        let mut answer = String::new();
        self.0
            .read_to_string(&mut answer)
            .await
            .expect("an answer to the end");
        let status = answer
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        (
            status.unwrap_or_else(|| panic!("no status: {answer:?}")),
            answer,
        )
    }
}
