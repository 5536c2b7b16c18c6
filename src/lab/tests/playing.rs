use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio::net::TcpListener;

use serde_json::Value;

use super::read;
use crate::lab::{
    Delivery, End, Ledger, Play, PlayError, Signer, Stop, Summary, Traffic, TrafficPlan, play,
};

const SECRETS: [&str; 2] = ["first secret", "second secret"];

/// A service in miniature: it checks signature and grammar, and is away as often as it is told.
#[derive(Clone, Default)]
struct Service {
    unavailable: Arc<AtomicUsize>,
    posts: Arc<AtomicUsize>,
    at_once: Arc<AtomicUsize>,
    most_at_once: Arc<AtomicUsize>,
}

async fn webhook(State(service): State<Service>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let at_once = service.at_once.fetch_add(1, Ordering::SeqCst) + 1;
    service.most_at_once.fetch_max(at_once, Ordering::SeqCst);
    tokio::task::yield_now().await;
    service.at_once.fetch_sub(1, Ordering::SeqCst);
    let down = |left: usize| left.checked_sub(1);
    let count = &service.unavailable;
    if count
        .fetch_update(Ordering::SeqCst, Ordering::SeqCst, down)
        .is_ok()
    {
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    service.posts.fetch_add(1, Ordering::SeqCst);
    let signature = headers
        .get("x-hub-signature-256")
        .map(|value| value.to_str().unwrap());
    if !SECRETS
        .iter()
        .any(|secret| signature == Some(&sign(secret, &body)))
    {
        return StatusCode::UNAUTHORIZED;
    }
    match read(&body).map(|json| json.get(0).cloned().unwrap_or(json)) {
        Ok(json) if json.get("entry").is_some() => StatusCode::OK,
        _ => StatusCode::BAD_REQUEST,
    }
}

fn sign(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

async fn serve(service: Service) -> String {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new()
        .route("/hook", post(webhook))
        .with_state(service);
    tokio::spawn(async move { axum::serve(listener, app).await });
    format!("http://{address}/hook")
}

fn signer() -> Signer {
    Signer::new(&SECRETS.map(str::to_owned)).unwrap()
}

fn traffic() -> Traffic {
    Traffic::new(TrafficPlan {
        duplicates: 20.0,
        invalid: 20.0,
        ..TrafficPlan::default()
    })
}

fn how(url: String, count: u64) -> Play {
    Play {
        url,
        rate: 0.0,
        end: End::Count(count),
        connections: 4,
        patience: Duration::from_secs(10),
    }
}

async fn run(how: Play, ledger: Option<Ledger>) -> Result<Summary, PlayError> {
    play(
        traffic(),
        signer(),
        how,
        ledger,
        std::future::pending(),
        || (),
    )
    .await
}

#[tokio::test]
async fn every_delivery_is_answered_as_it_must_be() {
    let service = Service::default();
    let url = serve(service.clone()).await;
    let summary = run(how(url, 1_000), None).await.unwrap();
    assert!(summary.is_good(), "{:?}", summary.complaints);
    assert_eq!(summary.deliveries, 1_000);
    assert_eq!(service.posts.load(Ordering::SeqCst), 1_000);
    assert!(service.most_at_once.load(Ordering::SeqCst) <= 4);
    let mut statuses = HashMap::<u16, u64>::new();
    for delivery in traffic().take(1_000) {
        *statuses.entry(delivery.status).or_default() += 1;
    }
    assert_eq!(
        summary.statuses.into_iter().collect::<HashMap<_, _>>(),
        statuses
    );
    assert!(summary.latency_ms.p50 <= summary.latency_ms.p99);
}

#[tokio::test]
async fn the_ledger_has_a_line_an_event_and_marks_what_was_retried() {
    let service = Service::default();
    service.unavailable.store(4, Ordering::SeqCst);
    let url = serve(service).await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sent.ndjson");
    let ledger = Ledger::create(&path).unwrap();
    let summary = run(how(url, 200), Some(ledger)).await.unwrap();
    assert!(summary.is_good(), "{:?}", summary.complaints);
    assert!((1..=4).contains(&summary.retried));

    let written = std::fs::read_to_string(path).unwrap();
    let lines: Vec<Value> = written
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let sent: Vec<Delivery> = traffic().take(200).collect();
    let events: usize = sent.iter().map(|delivery| delivery.events.len()).sum();
    assert_eq!(lines.len(), events);
    for line in &lines {
        let delivery = &sent[usize::try_from(line["delivery"].as_u64().unwrap()).unwrap()];
        let is_it = |told: &&crate::lab::Told| {
            told.event_id.as_deref() == line["event_id"].as_str()
                && told.event_type == line["type"].as_str()
                && told.ig_account_id.as_deref() == line["ig_account_id"].as_str()
        };
        let told = delivery
            .events
            .iter()
            .find(is_it)
            .expect("an event that was sent");
        assert_eq!(
            line["expectation"],
            serde_json::to_value(told.expectation).unwrap()
        );
        assert_eq!(line["status"], delivery.status);
    }
    assert!(lines.iter().any(|line| line["retried"] == true));
    assert!(lines.iter().any(|line| line["retried"] == false));
}

#[tokio::test]
async fn a_service_that_is_away_ends_the_run_and_fails_it() {
    let service = Service::default();
    service.unavailable.store(usize::MAX, Ordering::SeqCst);
    let mut how = how(serve(service).await, 1_000);
    how.patience = Duration::from_millis(300);
    let summary = run(how, None).await.unwrap();
    assert!(!summary.is_good());
    assert!((1..=4).contains(&summary.failed), "one a connection");
    assert!(summary.stopped.unwrap().contains("is the service running"));
}

#[tokio::test]
async fn nothing_listening_is_said_in_so_many_words() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    drop(listener);
    let mut how = how(url, 10);
    how.patience = Duration::ZERO;
    let _ = rustls::crypto::ring::default_provider().install_default();
    let summary = run(how, None).await.unwrap();
    assert!(!summary.is_good());
    assert!(
        summary.complaints[0].contains("refused"),
        "{:?}",
        summary.complaints
    );
}

#[tokio::test]
async fn a_wrong_secret_is_no_reason_to_retry() {
    let service = Service::default();
    let url = serve(service.clone()).await;
    let wrong = Signer::new(&["another secret".to_owned()]).unwrap();
    let playing = play(
        traffic(),
        wrong,
        how(url, 50),
        None,
        std::future::pending(),
        || (),
    );
    let summary = playing.await.unwrap();
    assert!(summary.unexpected > 0 && !summary.is_good());
    assert_eq!(service.posts.load(Ordering::SeqCst), 50);
}

#[tokio::test]
async fn the_rate_is_kept() {
    let mut how = how(serve(Service::default()).await, 200);
    how.rate = 800.0;
    let summary = run(how, None).await.unwrap();
    // The last of them may come in a burst.
    assert!(summary.seconds >= 0.195, "{}", summary.seconds);
}

#[tokio::test]
async fn it_stops_when_told_to_or_when_the_time_is_over() {
    let url = serve(Service::default()).await;
    let mut slow = how(url.clone(), 1_000);
    slow.rate = 0.01;
    let stop = std::future::ready(Stop::AtOnce);
    let summary = play(traffic(), signer(), slow, None, stop, || ())
        .await
        .unwrap();
    assert_eq!(summary.stopped.as_deref(), Some("interrupted"));
    let mut timed = how(url, 0);
    (timed.rate, timed.end) = (100.0, End::After(Duration::from_millis(200)));
    let summary = run(timed, None).await.unwrap();
    assert!(summary.is_good() && (1..=20).contains(&summary.deliveries));
}

#[tokio::test]
async fn a_stop_says_whether_what_is_under_way_is_posted_again() {
    for (stop, failed) in [(Stop::AtOnce, 4), (Stop::WhenAnswered, 0)] {
        let service = Service::default();
        let unavailable = Arc::clone(&service.unavailable);
        unavailable.store(4, Ordering::SeqCst);
        let how = how(serve(service).await, 1_000_000);
        let until_all_pause = async move {
            while unavailable.load(Ordering::SeqCst) > 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            stop
        };
        let playing = play(traffic(), signer(), how, None, until_all_pause, || ());
        let summary = playing.await.unwrap();
        assert_eq!(
            (summary.deliveries, summary.failed),
            (4, failed),
            "{stop:?}"
        );
    }
}

#[tokio::test]
async fn an_address_that_is_none_is_refused() {
    for url in ["localhost", "ftp://localhost/hook"] {
        let error = run(how(url.to_owned(), 1), None).await.unwrap_err();
        assert!(error.to_string().contains("--url"), "{error}");
    }
}
