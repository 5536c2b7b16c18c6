//! Access tokens: taken by their owners alone, encrypted at rest, and with another key when the key is rotated.

use std::{fs, process::Stdio};

use entity::{EncryptedToken, client_account};
use igstream::store::{account_changes::AccountChange, accounts::Added};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, DatabaseConnection, EntityTrait, IntoActiveModel,
};
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;

use crate::support::{
    graph::{Graph, Reply, error},
    on_both,
    payloads::ACCOUNT,
    postgres::TestDatabase,
    service::{Service, said},
    setup::Setup,
};

on_both! {
    a_token_is_taken_of_its_owner_and_stored_encrypted,
    a_key_is_rotated,
    what_cannot_be_read_is_named_and_left_alone,
}

const TOKEN: &str = "IGAAtoken1234567890ofanaccount";
const OTHER: &str = "17841400000000002";
const OLD_KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const NEW_KEY: &str = "8J+UkfCflJHwn5SR8J+UkfCflJHwn5SR8J+UkfCflJE=";

struct World {
    service: Service,
    graph: Graph,
    db: DatabaseConnection,
    _database: TestDatabase,
}

impl World {
    async fn of(database: TestDatabase) -> Self {
        let graph = Graph::start().await;
        let service = Setup::managed(&database)
            .set("instagram.graph_url", graph.url())
            .set("instagram.graph_patience", "2s")
            .set("accounts.encryption_key", OLD_KEY)
            .not_started();
        Self {
            service,
            graph,
            db: database.connect().await,
            _database: database,
        }
    }

    /// Adds an account with the token on standard input; the exit code, and what was said.
    async fn add(&self, account: &str, more: &[&str]) -> (Option<i32>, String) {
        let arguments = ["accounts", "add", account, "--access-token-file", "-"];
        let mut command = self.service.command(&[&arguments, more].concat());
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut stdin = process.stdin.take().unwrap();
        // It may have ended without reading it.
        let _ = stdin.write_all(format!("{TOKEN}\n").as_bytes()).await;
        drop(stdin);
        let output = process.wait_with_output().await.unwrap();
        let said = said(&output);
        assert!(!said.contains(TOKEN), "{said}");
        (output.status.code(), said)
    }

    async fn added(&self, account: &str, app_scoped_id: &str) {
        self.graph.is_owner(account, app_scoped_id);
        let (code, said) = self.add(account, &[]).await;
        assert_eq!(code, Some(0), "{said}");
    }

    async fn accounts(&self) -> Vec<client_account::Model> {
        client_account::Entity::find().all(&self.db).await.unwrap()
    }

    async fn stored(&self, account: &str) -> Option<String> {
        let accounts = self.accounts().await;
        let mut found = accounts
            .into_iter()
            .filter(|row| row.instagram_business_account_id == account);
        found.next()?.access_token.map(|token| token.0)
    }

    async fn rotate(&self, code: i32) -> String {
        let output = self.service.run(&["accounts", "rotate-key"]).await;
        let said = said(&output);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(!said.contains(TOKEN) && !said.contains("v1."), "{said}");
        said
    }
}

async fn a_token_is_taken_of_its_owner_and_stored_encrypted(database: TestDatabase) {
    let world = World::of(database).await;
    world.graph.is_owner(OTHER, "29");
    let (code, refused) = world.add(ACCOUNT, &[]).await;
    assert_eq!(code, Some(1), "{refused}");
    for part in [ACCOUNT, OTHER, "nothing was stored"] {
        assert!(refused.contains(part), "{part}: {refused}");
    }
    assert_eq!(world.accounts().await, []);

    world.graph.is_owner(ACCOUNT, "29");
    let (code, added) = world.add(ACCOUNT, &[]).await;
    assert!(
        code == Some(0) && added.contains("token is stored"),
        "{added}"
    );
    let row = world.accounts().await.remove(0);
    assert_eq!(row.username.as_deref(), Some("shop"));
    assert_eq!(row.app_scoped_id.as_deref(), Some("29"));
    let stored = row.access_token.unwrap().0;
    assert!(
        stored.starts_with("v1.") && !stored.contains(TOKEN),
        "{stored}"
    );
    let list = world.service.run(&["accounts", "list", "--json"]).await;
    let listed: Value = serde_json::from_slice(&list.stdout).unwrap();
    assert_eq!(listed[0]["has_access_token"], true, "{listed}");
    assert_eq!(listed[0]["app_scoped_id"], "29", "{listed}");
    assert!(!said(&list).contains(&stored));

    // Given once more it is another text, and what was given by hand counts.
    let again = ["--username", "renamed", "--app-scoped-id", "30"];
    let (code, added) = world.add(ACCOUNT, &again).await;
    assert!(code == Some(0) && added.contains("already"), "{added}");
    let row = world.accounts().await.remove(0);
    assert_eq!(row.username.as_deref(), Some("renamed"));
    assert_eq!(row.app_scoped_id.as_deref(), Some("30"));
    assert_ne!(row.access_token.unwrap().0, stored);
    for asked in world.graph.asked() {
        assert!(!asked.uri.contains(TOKEN), "{asked:?}");
    }
}

#[tokio::test]
async fn a_token_that_cannot_be_taken_changes_nothing() {
    let mut world = World::of(TestDatabase::sqlite().await).await;
    world.graph.on(
        "GET /me",
        [error(400, 190, &format!("Malformed access token {TOKEN}"))],
    );
    let (code, refused) = world.add(ACCOUNT, &[]).await;
    assert!(code == Some(1) && refused.contains("[secret]"), "{refused}");
    world.graph.on("GET /me", [Reply::Never]);
    let (code, refused) = world.add(ACCOUNT, &[]).await;
    assert!(code == Some(1) && refused.contains("GET /me"), "{refused}");
    let db = world.service.database().await;
    assert_eq!(client_account::Entity::find().all(&db).await.unwrap(), []);

    // A page's token: Meta does not tell whose it is.
    world.graph.on(
        "GET /me",
        [error(
            400,
            100,
            "Tried accessing nonexisting field (user_id)",
        )],
    );
    let (code, added) = world.add(ACCOUNT, &["--app-scoped-id", "29"]).await;
    assert_eq!(code, Some(0), "{added}");
    assert!(world.stored(ACCOUNT).await.is_some());

    world.service.set("accounts.encryption_key", "");
    let (code, refused) = world.add(OTHER, &[]).await;
    assert!(
        code == Some(2) && refused.contains("accounts.encryption_key"),
        "{refused}"
    );
    let missing = world.service.run(&[
        "accounts",
        "add",
        OTHER,
        "--access-token-file",
        "/nowhere/token",
    ]);
    let missing = missing.await;
    assert_eq!(missing.status.code(), Some(2), "{}", said(&missing));
    // Everything else works without a key.
    let added = world
        .service
        .run(&["accounts", "add", OTHER, "--username", "second"])
        .await;
    assert_eq!(added.status.code(), Some(0), "{}", said(&added));

    world.service.set("accounts.encryption_key", OLD_KEY);
    let file = world.service.file("token");
    for (text, named) in [("", "one line"), ("two\nlines", "one line")] {
        fs::write(&file, text).unwrap();
        let path = file.to_str().unwrap();
        let arguments = ["accounts", "add", OTHER, "--access-token-file", path];
        let wrong = world.service.run(&arguments).await;
        assert_eq!(wrong.status.code(), Some(1), "{}", said(&wrong));
        assert!(said(&wrong).contains(named), "{}", said(&wrong));
    }
    assert!(world.stored(OTHER).await.is_none());
}

async fn a_key_is_rotated(database: TestDatabase) {
    let mut world = World::of(database).await;
    world.added(ACCOUNT, "29").await;
    world.added(OTHER, "30").await;
    let before = world.stored(ACCOUNT).await;
    assert!(world.rotate(0).await.contains("0 now, 2 before"));
    assert_eq!(world.stored(ACCOUNT).await, before);

    world.service.set("accounts.encryption_key", NEW_KEY);
    world
        .service
        .set("accounts.previous_encryption_keys", OLD_KEY);
    assert!(world.rotate(0).await.contains("2 now, 0 before"));
    assert!(world.rotate(0).await.contains("0 now, 2 before"));
    assert_ne!(world.stored(ACCOUNT).await, before);
    // The old key is not needed any more.
    world.service.set("accounts.previous_encryption_keys", "");
    assert!(world.rotate(0).await.contains("0 now, 2 before"));
}

async fn what_cannot_be_read_is_named_and_left_alone(database: TestDatabase) {
    let mut world = World::of(database).await;
    world.added(ACCOUNT, "29").await;
    world.service.set("accounts.encryption_key", NEW_KEY);
    world.added(OTHER, "30").await;
    let before = world.stored(ACCOUNT).await;
    let said = world.rotate(1).await;
    for part in [
        "0 now, 1 before",
        ACCOUNT,
        "accounts.previous_encryption_keys",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains(OTHER), "{said}");
    assert_eq!(world.stored(ACCOUNT).await, before);

    // A token that lies in another account's row is no token there.
    world
        .service
        .set("accounts.previous_encryption_keys", OLD_KEY);
    for row in world.accounts().await {
        if row.instagram_business_account_id == OTHER {
            let mut row = row.into_active_model();
            row.access_token = Set(before.clone().map(EncryptedToken));
            row.update(&world.db).await.unwrap();
        }
    }
    let said = world.rotate(1).await;
    for part in ["1 now, 0 before", OTHER, "changed or moved"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains(ACCOUNT), "{said}");
}

#[tokio::test]
async fn a_token_that_is_changed_while_the_key_is_rotated_stays() {
    use igstream::store::tokens::Resealed;
    let database = TestDatabase::sqlite().await;
    let store = crate::support::deliveries::empty_store_on(&database).await;
    assert_eq!(store.add_account(ACCOUNT, None).await.unwrap(), Added::New);
    let account = store.account_called(ACCOUNT).await.unwrap().unwrap();
    let token = |text: &str| Some(Some(EncryptedToken(text.to_owned())));
    for text in ["first", "second"] {
        let change = AccountChange {
            access_token: token(text),
            ..AccountChange::default()
        };
        store
            .change_account(account.id, &change, None)
            .await
            .unwrap();
    }
    let resealed = |before: &str| Resealed {
        account: account.id,
        before: EncryptedToken(before.to_owned()),
        after: "resealed".to_owned(),
    };
    assert_eq!(
        store.replace_tokens(vec![resealed("first")]).await.unwrap(),
        0
    );
    assert_eq!(
        store
            .replace_tokens(vec![resealed("second")])
            .await
            .unwrap(),
        1
    );
    let stored = store.stored_tokens(None, 10).await.unwrap();
    assert_eq!(stored[0].token.0, "resealed");
}
