//! The callbacks that Meta requires of every app: an account is stopped, or erased, at Instagram's word alone.

use entity::{client_account, comment, erased_account, webhook_event};
use igstream::stream::names::{EVENTS, STORED};
use reqwest::header::ACCEPT;
use sea_orm::{ColumnTrait, DatabaseConnection, EntityTrait, PaginatorTrait, QueryFilter};
use serde_json::{Value, json};

use crate::support::{
    audit::Audit,
    eventually::eventually,
    graph::Graph,
    http::{self, Answer, SECRETS, client, signed_request},
    nats::NatsServer,
    on_both,
    payloads::{ACCOUNT, changes, comment as comment_item, one_comment},
    postgres::TestDatabase,
    proxy::Proxy,
    service::{Service, said},
    setup::Setup,
};

on_both! {
    a_deauthorised_account_is_stopped_until_it_is_connected_again,
    a_deletion_leaves_nothing_but_the_tombstone,
    what_is_not_signed_changes_nothing,
}

const OTHER: &str = "17841400000000002";
const USER: &str = "29111111111111111";
const DEAUTHORIZE: &str = "/api/instagram/deauthorize";
const DATA_DELETION: &str = "/api/instagram/data-deletion";
const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const TOKEN: &str = "IGAAtoken1234567890ofanaccount";

fn payload(user: &str) -> Value {
    let issued_at = chrono::Utc::now().timestamp();
    json!({ "user_id": user, "algorithm": "HMAC-SHA256", "issued_at": issued_at })
}

fn signed(user: &str) -> String {
    signed_request(SECRETS[1], &payload(user))
}

async fn call(service: &Service, path: &str, signed_request: &str) -> Answer {
    let form = [("signed_request", signed_request)];
    let request = client().post(service.url(path)).form(&form);
    http::send(request).await.expect("an answer")
}

async fn add(service: &Service, arguments: &[&str]) {
    let added = service
        .run(&[&["accounts", "add"], arguments].concat())
        .await;
    assert_eq!(added.status.code(), Some(0), "{}", said(&added));
}

async fn account(db: &DatabaseConnection, ig_account_id: &str) -> Option<client_account::Model> {
    client_account::Entity::find()
        .filter(client_account::Column::InstagramBusinessAccountId.eq(ig_account_id))
        .one(db)
        .await
        .unwrap()
}

/// With an account of each user, and a comment of each account.
async fn start(database: &TestDatabase, setup: Setup) -> (Service, DatabaseConnection) {
    let service = setup.set("accounts.auto_register", false).start().await;
    service.streams().await.drained().await;
    add(&service, &[ACCOUNT, "--app-scoped-id", USER]).await;
    add(&service, &[OTHER, "--app-scoped-id", "30"]).await;
    for account in [ACCOUNT, OTHER] {
        let delivery = changes(account, &[comment_item("before")]).to_string();
        service.deliver(&delivery).await;
    }
    service.streams().await.drained().await;
    let db = database.connect().await;
    (service, db)
}

async fn a_deauthorised_account_is_stopped_until_it_is_connected_again(database: TestDatabase) {
    let graph = Graph::start().await;
    graph.is_owner(ACCOUNT, USER);
    let setup = Setup::managed(&database)
        .set("instagram.graph_url", graph.url())
        .set("accounts.encryption_key", KEY);
    let (service, db) = start(&database, setup).await;
    let file = service.file("token");
    std::fs::write(&file, TOKEN).unwrap();
    add(
        &service,
        &[ACCOUNT, "--access-token-file", file.to_str().unwrap()],
    )
    .await;
    assert!(account(&db, ACCOUNT).await.unwrap().access_token.is_some());

    let request = signed(USER);
    let answer = call(&service, DEAUTHORIZE, &request).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let stopped = account(&db, ACCOUNT).await.unwrap();
    assert!(
        !stopped.active && stopped.access_token.is_none(),
        "{stopped:?}"
    );
    assert!(account(&db, OTHER).await.unwrap().active);
    assert_eq!(
        comment::Entity::find().count(&db).await.unwrap(),
        2,
        "nothing is deleted"
    );

    // Long ago somebody wanted it stopped; it was connected again since.
    add(&service, &[ACCOUNT]).await;
    let mut old = payload(USER);
    old["issued_at"] = json!(chrono::Utc::now().timestamp() - 3600);
    let answer = call(&service, DEAUTHORIZE, &signed_request(SECRETS[0], &old)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(account(&db, ACCOUNT).await.unwrap().active);

    let unknown = call(&service, DEAUTHORIZE, &signed("4711")).await;
    assert_eq!(unknown.status, 200, "{unknown:?}");
    let log = service.log();
    assert!(!log.contains(TOKEN) && !log.contains(&request), "{log}");
}

async fn a_deletion_leaves_nothing_but_the_tombstone(database: TestDatabase) {
    let setup = Setup::managed(&database).set("server.public_url", "https://hooks.example.com");
    let (service, db) = start(&database, setup).await;
    let request = signed(USER);
    let answer = call(&service, DATA_DELETION, &request).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let told = answer.json();
    let code = told["confirmation_code"].as_str().unwrap();
    assert!(
        code.bytes().all(|byte| byte.is_ascii_alphanumeric()),
        "{code}"
    );
    let path = format!("{DATA_DELETION}/{code}");
    assert_eq!(told["url"], format!("https://hooks.example.com{path}"));

    let finished = eventually("the deletion is finished", async || {
        let state = http::get(&service.url(&path)).await.unwrap().json();
        match state["state"].as_str().unwrap() {
            "finished" => Ok(state),
            _ => Err(state.to_string()),
        }
    })
    .await;
    assert!(finished["finished_at"].is_string(), "{finished}");
    assert!(!finished.to_string().contains(ACCOUNT), "{finished}");
    let page = client()
        .get(service.url(&path))
        .header(ACCEPT, "text/html,*/*");
    let page = http::send(page).await.unwrap();
    assert!(
        page.header("content-type")
            .unwrap()
            .starts_with("text/html"),
        "{page:?}"
    );
    assert!(
        page.body.contains("finished") && page.body.contains(code),
        "{}",
        page.body
    );

    nothing_is_left(&service, &db).await;
    let tombstone = erased_account::Entity::find_by_id(ACCOUNT)
        .one(&db)
        .await
        .unwrap();
    assert_eq!(tombstone.unwrap().confirmation_code.as_deref(), Some(code));
    assert!(account(&db, OTHER).await.unwrap().active);
    assert_eq!(comment::Entity::find().count(&db).await.unwrap(), 1);
    Audit::balanced(&service).await;

    // The same request again is the same deletion, also when the account was connected again.
    let again = call(&service, DATA_DELETION, &request).await;
    assert_eq!(again.json(), told);
    let mut old = payload(USER);
    old["issued_at"] = json!(chrono::Utc::now().timestamp() - 3600);
    add(&service, &[ACCOUNT, "--app-scoped-id", USER]).await;
    for replayed in [signed_request(SECRETS[0], &old), request.clone()] {
        let replayed = call(&service, DATA_DELETION, &replayed).await;
        assert_eq!(replayed.status, 200, "{replayed:?}");
        assert!(
            account(&db, ACCOUNT).await.unwrap().active,
            "it was connected since"
        );
    }
    service.deliver(&one_comment("after")).await;
    service.streams().await.drained().await;
    assert_eq!(comment::Entity::find().count(&db).await.unwrap(), 2);
    assert!(!service.log().contains(&request), "{}", service.log());
}

async fn nothing_is_left(service: &Service, db: &DatabaseConnection) {
    assert!(account(db, ACCOUNT).await.is_none());
    let rows = webhook_event::Entity::find()
        .filter(webhook_event::Column::IgAccountId.eq(ACCOUNT))
        .count(db);
    assert_eq!(rows.await.unwrap(), 0);
    let streams = service.streams().await;
    for stream in [EVENTS, STORED] {
        for message in streams.messages(stream).await {
            assert!(!message.subject.ends_with(ACCOUNT), "{stream}: {message:?}");
        }
    }
}

async fn what_is_not_signed_changes_nothing(database: TestDatabase) {
    let (service, db) = start(&database, Setup::managed(&database)).await;
    let good = signed(USER);
    let (signature, encoded) = good.split_once('.').unwrap();
    let other = signed("30");
    let (_, swapped) = other.split_once('.').unwrap();
    let mut sha1 = payload(USER);
    sha1["algorithm"] = json!("HMAC-SHA1");
    for (request, status) in [
        ("", 400),
        ("nothing", 400),
        (encoded, 400),
        (&format!("c2hvcnQ.{encoded}"), 400),
        (&format!("{signature}.{swapped}"), 401),
        (&signed_request("another-secret", &payload(USER)), 401),
        (&signed_request(SECRETS[0], &sha1), 400),
        (
            &signed_request(SECRETS[0], &json!({ "algorithm": "HMAC-SHA256" })),
            400,
        ),
        (&signed_request(SECRETS[0], &json!([USER])), 400),
    ] {
        for path in [DEAUTHORIZE, DATA_DELETION] {
            let answer = call(&service, path, request).await;
            assert_eq!(answer.status, status, "{path} {request}: {answer:?}");
        }
    }
    for path in [DEAUTHORIZE, DATA_DELETION] {
        let empty = http::send(client().post(service.url(path))).await.unwrap();
        assert_eq!(empty.status, 400, "{empty:?}");
        let large = client().post(service.url(path)).body("x".repeat(65 * 1024));
        assert_eq!(http::send(large).await.unwrap().status, 413);
        let got = http::get(&service.url(path)).await.unwrap();
        assert_eq!(got.status, 405, "{got:?}");
    }
    for name in [ACCOUNT, OTHER] {
        assert!(account(&db, name).await.unwrap().active);
    }
    assert_eq!(erased_account::Entity::find().count(&db).await.unwrap(), 0);
}

#[tokio::test]
async fn who_is_not_known_is_answered_with_a_code_all_the_same() {
    let database = TestDatabase::sqlite().await;
    let service = Setup::managed(&database).start().await;
    service.streams().await.drained().await;
    let answer = call(&service, DATA_DELETION, &signed("4711")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let told = answer.json();
    let code = told["confirmation_code"].as_str().unwrap();
    let path = format!("{DATA_DELETION}/{code}");
    // Where no public URL is configured it is the host that was asked.
    assert_eq!(told["url"], format!("https://{}{path}", service.address()));
    let state = http::get(&service.url(&path)).await.unwrap();
    assert_eq!(state.json()["state"], "nothing_stored", "{state:?}");
    for wrong in [
        "0".repeat(40),
        "abc123".to_owned(),
        "..%2f..%2fhealthz".to_owned(),
    ] {
        let unknown = http::get(&service.url(&format!("{DATA_DELETION}/{wrong}")))
            .await
            .unwrap();
        assert_eq!(unknown.status, 404, "{wrong}: {unknown:?}");
    }
}

#[tokio::test]
async fn a_database_that_is_away_is_asked_again_later() {
    let database = TestDatabase::postgres().await;
    let (nats, proxy) = (NatsServer::start().await, Proxy::before(&database).await);
    drop(database.migrated().await);
    let service = Setup::external(&nats, &database)
        .set("database.url", proxy.url())
        .set("database.acquire_timeout", "1s")
        .roles("receiver")
        .start()
        .await;
    for path in [DEAUTHORIZE, DATA_DELETION] {
        let away = call(&service, path, &signed(USER)).await;
        assert_eq!(away.status, 503, "{away:?}");
        assert!(away.header("retry-after").is_some(), "{away:?}");
        assert!(!away.body.contains("postgres"), "{away:?}");
    }
    proxy.open();
    let back = call(&service, DATA_DELETION, &signed(USER)).await;
    assert_eq!(back.status, 200, "{back:?}");
}
