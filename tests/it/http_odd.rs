//! What HTTP allows and few senders do: each is answered as it should be, and the next good delivery is taken.

use entity::webhook_event;
use igstream::{instagram::signature, stream::names::DELIVERIES};
use sea_orm::{EntityTrait, PaginatorTrait};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{
    http::{self, SECRETS, client, signature as signed},
    payloads::{ACCOUNT, changes, comment, one_comment},
    postgres::TestDatabase,
    service::Service,
    setup::Setup,
};

const POST: &str = "POST /api/instagram/webhooks HTTP/1.1\r\nHost: igstream";
/// `server.body_limit_bytes` as it is built in.
const LIMIT: usize = 4 * 1024 * 1024;

/// A running service, and how many events it was answered 200 for.
struct Tried {
    service: Service,
    events: u64,
}

impl Tried {
    async fn start(database: &TestDatabase) -> Self {
        Self {
            service: Setup::managed(database).start().await,
            events: 0,
        }
    }

    /// Sends these bytes on a connection of their own, and returns the statuses of what comes back.
    async fn send(&self, bytes: &[u8]) -> Vec<u16> {
        let mut stream = self.connection().await;
        // The service may refuse, and close, before it has read all.
        let _ = stream.write_all(bytes).await;
        statuses(&mut stream).await
    }

    async fn connection(&self) -> TcpStream {
        let address = self.service.address();
        TcpStream::connect(address).await.expect("a connection")
    }

    /// The service takes a good delivery.
    async fn still_takes(&mut self, after: &str) {
        let answer = self
            .service
            .post(&one_comment(&format!("after {after}")))
            .await;
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (200, "EVENT_RECEIVED"),
            "after {after}"
        );
        self.events += 1;
    }

    /// All that was answered 200 is stored, and nothing else.
    async fn adds_up(&self) {
        self.service.streams().await.drained().await;
        let database = self.service.database().await;
        let rows = webhook_event::Entity::find().count(&database).await;
        assert_eq!(rows.unwrap(), self.events);
    }
}

/// The statuses of all answers until the service closes the connection.
async fn statuses(stream: &mut TcpStream) -> Vec<u16> {
    let mut answer = Vec::new();
    // A reset is the end as well.
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let lines = answer.split("HTTP/1.1 ").skip(1);
    let status = |line: &str| line.split(' ').next()?.parse().ok();
    lines.filter_map(status).collect()
}

/// A request for this body, with these header lines more.
fn request(body: impl AsRef<[u8]>, more: &str) -> Vec<u8> {
    let body = body.as_ref();
    let signature = signature::sign(SECRETS[0], body);
    let length = body.len();
    let head = format!(
        "{POST}\r\nX-Hub-Signature-256: {signature}\r\nContent-Length: {length}\r\n{more}\r\n"
    );
    [head.as_bytes(), body].concat()
}

const CLOSE: &str = "Connection: close\r\n";

#[tokio::test]
async fn odd_requests_are_answered_and_harm_nothing() {
    let database = TestDatabase::sqlite().await;
    let mut tried = Tried::start(&database).await;
    for (what, bytes, statuses, events) in one_connection() {
        assert_eq!(tried.send(&bytes).await, statuses, "{what}");
        tried.events += events;
        tried.still_takes(what).await;
    }
    for (method, path, status) in [
        ("GET", "/api/instagram/webhook", 404),
        ("POST", "/", 404),
        ("POST", "/api/instagram/webhooks/", 404),
        ("PUT", "/api/instagram/webhooks", 405),
        ("DELETE", "/api/instagram/webhooks", 405),
        ("PATCH", "/api/instagram/webhooks", 405),
    ] {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: igstream\r\nContent-Length: 0\r\n{CLOSE}\r\n"
        );
        assert_eq!(
            tried.send(head.as_bytes()).await,
            [status],
            "{method} {path}"
        );
    }
    tried.still_takes("unknown paths and methods").await;
    tried.adds_up().await;
}

/// What is sent, what is answered to it, and how many events it brings.
fn one_connection() -> Vec<(&'static str, Vec<u8>, Vec<u16>, u64)> {
    let good = |what: &str| one_comment(what);
    let chunked = good("in chunks");
    let (half, rest) = chunked.split_at(chunked.len() / 2);
    let chunks = format!(
        "{POST}\r\nX-Hub-Signature-256: {}\r\nTransfer-Encoding: chunked\r\n{CLOSE}\r\n{:x}\r\n{half}\r\n{:x};extension\r\n{rest}\r\n0\r\n\r\n",
        signed(SECRETS[0], &chunked),
        half.len(),
        rest.len(),
    );
    let with_names = |what: &str, name: &str| {
        let text = String::from_utf8(request(good(what), CLOSE)).unwrap();
        text.replace("X-Hub-Signature-256", name).into_bytes()
    };
    let wrong = format!(
        "X-Hub-Signature-256: {}\r\n{CLOSE}",
        signed("another", "{}")
    );
    let same = good("signed twice");
    let again = format!(
        "X-Hub-Signature-256: {}\r\n{CLOSE}",
        signed(SECRETS[0], &same)
    );
    let pipelined = [request(good("first"), ""), request(good("second"), CLOSE)].concat();
    let refused_between = [request("no JSON", ""), request(good("third"), CLOSE)].concat();
    let many: Vec<Value> = (0..1000)
        .map(|n| comment(&format!("{n} of many")))
        .collect();
    let many = changes(ACCOUNT, &many).to_string();
    let filled = |size: usize| {
        let body = one_comment("large");
        let text = "x".repeat(size - body.len());
        body.replace("text of large", &format!("text of large{text}"))
    };
    vec![
        ("chunks", chunks.into_bytes(), vec![200], 1),
        (
            "an expectation",
            request(
                good("expected"),
                &format!("Expect: 100-continue\r\n{CLOSE}"),
            ),
            vec![100, 200],
            1,
        ),
        (
            "lower-case names",
            with_names("lower", "x-hub-signature-256"),
            vec![200],
            1,
        ),
        (
            "upper-case names",
            with_names("upper", "X-HUB-SIGNATURE-256"),
            vec![200],
            1,
        ),
        ("pipelined requests", pipelined, vec![200, 200], 2),
        (
            "a refused request before a good one",
            refused_between,
            vec![400, 200],
            1,
        ),
        // The first counts.
        (
            "a right signature twice",
            request(&same, &again),
            vec![200],
            1,
        ),
        (
            "a right signature and a wrong one",
            request(good("right first"), &wrong),
            vec![200],
            1,
        ),
        ("an empty body", request("", CLOSE), vec![400], 0),
        ("a thousand items", request(many, CLOSE), vec![200], 1000),
        (
            "a body of the limit",
            request(filled(LIMIT), CLOSE),
            vec![200],
            1,
        ),
        (
            "a byte more than the limit",
            request(filled(LIMIT + 1), CLOSE),
            vec![413],
            0,
        ),
    ]
}

/// A delivery without items, by gzip.
const COMPRESSED: &[u8] = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xab\x56\xca\x4f\xca\x4a\x4d\x2e\x51\xb2\x52\xca\xcc\x2b\x2e\x49\x4c\x2f\x4a\xcc\x55\xd2\x51\x4a\xcd\x2b\x29\xaa\x54\xb2\x8a\x8e\xad\x05\x00\xfd\x13\x9a\x89\x21\x00\x00\x00";

/// Compressed or not is for the sender to say and for nobody to undo: what is signed is what was sent, and that is no
/// JSON.
#[tokio::test]
async fn a_compressed_body_is_no_json() {
    let database = TestDatabase::sqlite().await;
    let mut tried = Tried::start(&database).await;
    let bytes = request(COMPRESSED, &format!("Content-Encoding: gzip\r\n{CLOSE}"));
    assert_eq!(tried.send(&bytes).await, [400]);
    let plain = one_comment("said to be compressed");
    let bytes = request(&plain, &format!("Content-Encoding: gzip\r\n{CLOSE}"));
    assert_eq!(tried.send(&bytes).await, [200], "nothing is unpacked");
    tried.events += 1;
    tried.still_takes("a compressed body").await;
    tried.adds_up().await;
}

#[tokio::test]
async fn http_2_by_prior_knowledge() {
    let database = TestDatabase::sqlite().await;
    let mut tried = Tried::start(&database).await;
    // Sets what all clients need.
    drop(client());
    let http_2 = reqwest::Client::builder()
        .no_proxy()
        .http2_prior_knowledge();
    let http_2 = http_2.build().unwrap();
    for n in 0..3 {
        let body = one_comment(&format!("over HTTP/2, {n}"));
        let request = http_2
            .post(tried.service.webhook())
            .header("X-Hub-Signature-256", signed(SECRETS[0], &body));
        let answer = request.body(body).send().await.unwrap();
        assert_eq!(answer.version(), reqwest::Version::HTTP_2);
        assert_eq!(answer.status(), 200);
        tried.events += 1;
    }
    tried.still_takes("HTTP/2").await;
    tried.adds_up().await;
}

#[tokio::test]
async fn bodies_that_do_not_come() {
    let database = TestDatabase::sqlite().await;
    let mut tried = Tried::start(&database).await;
    let whole = request(one_comment("slow"), CLOSE);
    let (most, last) = whole.split_at(whole.len() - 10);

    let mut left = tried.connection().await;
    left.write_all(most).await.unwrap();
    drop(left);
    tried.still_takes("a connection closed in a body").await;

    let (mut slow, mut never) = (tried.connection().await, tried.connection().await);
    slow.write_all(most).await.unwrap();
    never.write_all(most).await.unwrap();
    tried.still_takes("two that wait").await;
    slow.write_all(last).await.unwrap();
    assert_eq!(statuses(&mut slow).await, [200]);
    tried.events += 1;
    // It may be our own slowness: Instagram shall deliver again.
    assert_eq!(statuses(&mut never).await, [503]);
    tried.still_takes("a body that never came").await;

    let streams = tried.service.streams().await;
    assert!(streams.count(DELIVERIES).await > 0);
    assert_eq!(
        http::get(&tried.service.url("/healthz"))
            .await
            .unwrap()
            .status,
        200
    );
    tried.adds_up().await;
}

#[tokio::test]
async fn who_announces_much_and_sends_nothing_keeps_no_small_delivery_out() {
    let database = TestDatabase::sqlite().await;
    let mut tried = Tried::start(&database).await;
    // Together more than may wait; "100 Continue" says that its room is taken.
    let head = format!("{POST}\r\nContent-Length: {LIMIT}\r\nExpect: 100-continue\r\n\r\n");
    let (mut open, mut refused) = (Vec::new(), 0);
    for _ in 0..20 {
        let mut stream = tried.connection().await;
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut start = [0; 12];
        stream.read_exact(&mut start).await.unwrap();
        refused += usize::from(&start == b"HTTP/1.1 503");
        open.push(stream);
    }
    assert!(refused > 0, "all of them had room");
    tried.still_takes("many that announce").await;
    tried.adds_up().await;
}
