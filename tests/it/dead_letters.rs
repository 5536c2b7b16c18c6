//! What failed for good is seen, tried again, and given up, by command.

use entity::{comment, webhook_event};
use igstream::stream::names::{DEAD_LETTERS, STORED};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter};
use serde_json::Value;

use crate::support::{
    eventually::eventually_true,
    payloads::{ACCOUNT, changes, comment as comment_item, one_comment},
    postgres::TestDatabase,
    service::{Service, said},
    setup::Setup,
};

const POISON: &str = "CREATE TRIGGER poison BEFORE INSERT ON instagram_comments \
    WHEN NEW.id LIKE 'poison%' BEGIN SELECT RAISE(ABORT, 'no poison here'); END";

async fn with_two_dead_letters() -> (TestDatabase, Service) {
    let database = TestDatabase::sqlite().await;
    let setup = Setup::managed(&database)
        .set("handlers.max_attempts", 2)
        .set("handlers.backoff_seconds", "1");
    let service = setup.start().await;
    service.deliver(&one_comment("before")).await;
    service.streams().await.drained().await;
    service
        .database()
        .await
        .execute_unprepared(POISON)
        .await
        .unwrap();
    let comments = ["good", "poison-1", "fine", "poison-2"].map(comment_item);
    service
        .deliver(&changes(ACCOUNT, &comments).to_string())
        .await;
    service.streams().await.drained().await;
    (database, service)
}

async fn listed(service: &Service) -> Vec<Value> {
    let list = service.run(&["dead-letters", "list", "--json"]).await;
    assert_eq!(list.status.code(), Some(0), "{}", said(&list));
    serde_json::from_slice(&list.stdout).unwrap()
}

#[tokio::test]
async fn a_poison_event_fails_alone_and_is_listed_with_its_reason() {
    let (_database, service) = with_two_dead_letters().await;
    let db = service.database().await;
    assert_eq!(comment::Entity::find().count(&db).await.unwrap(), 3);
    let dead = listed(&service).await;
    assert_eq!(dead.len(), 2);
    for letter in &dead {
        assert_eq!(
            (&letter["processing_attempts"], &letter["deaths"]),
            (&2.into(), &1.into())
        );
        assert!(
            letter["last_processing_error"]
                .as_str()
                .unwrap()
                .contains("no poison here")
        );
    }
    let shown = service
        .run(&["dead-letters", "show", dead[0]["id"].as_str().unwrap()])
        .await;
    assert!(said(&shown).contains("\"payload\""), "{}", said(&shown));
    let table = service.run(&["dead-letters", "list"]).await;
    assert!(said(&table).contains("no poison here"), "{}", said(&table));
    assert_eq!(service.streams().await.count(DEAD_LETTERS).await, 2);
}

#[tokio::test]
async fn one_that_is_tried_again_is_stored_or_dies_once_more() {
    let (_database, service) = with_two_dead_letters().await;
    let streams = service.streams().await;
    let again = service
        .run(&["dead-letters", "retry", "--type", "comment"])
        .await;
    assert!(said(&again).contains("2 sent"), "{}", said(&again));
    eventually_true("they die once more, after all their attempts", async || {
        let dead = listed(&service).await;
        dead.iter()
            .all(|letter| letter["deaths"] == 2 && letter["processing_attempts"] == 2)
    })
    .await;
    eventually_true("each death is told", async || {
        streams.count(DEAD_LETTERS).await == 4
    })
    .await;

    let db = service.database().await;
    db.execute_unprepared("DROP TRIGGER poison").await.unwrap();
    let again = service.run(&["dead-letters", "retry", "--all"]).await;
    assert_eq!(again.status.code(), Some(0), "{}", said(&again));
    eventually_true("they are stored", async || {
        comment::Entity::find().count(&db).await.unwrap() == 5
    })
    .await;
    eventually_true("each is told once", async || {
        streams.count(STORED).await == 5
    })
    .await;
    assert_eq!(listed(&service).await, Vec::<Value>::new());
    let rows = webhook_event::Entity::find().count(&db).await.unwrap();
    assert_eq!(rows, 5, "a retried event is no new event");
}

#[tokio::test]
async fn what_is_discarded_stays_so() {
    let (_database, service) = with_two_dead_letters().await;
    let first = listed(&service).await[0]["id"].as_str().unwrap().to_owned();
    let unsaid = service.run(&["dead-letters", "discard"]).await;
    assert_eq!(unsaid.status.code(), Some(2));
    assert!(said(&unsaid).contains("--all"), "{}", said(&unsaid));
    let discarded = service.run(&["dead-letters", "discard", &first]).await;
    assert!(
        said(&discarded).contains("1 discarded"),
        "{}",
        said(&discarded)
    );
    assert_eq!(listed(&service).await.len(), 1);
    let db = service.database().await;
    let kept = webhook_event::Entity::find()
        .filter(webhook_event::Column::Status.eq("discarded"))
        .count(&db)
        .await
        .unwrap();
    assert_eq!(kept, 1, "its row stays");
    let missing = service.run(&["dead-letters", "show", &first]).await;
    assert_eq!(missing.status.code(), Some(1));
    assert!(said(&missing).contains(&first), "{}", said(&missing));
}

#[tokio::test]
async fn they_can_be_sent_again_while_the_service_is_stopped() {
    let (_database, mut service) = with_two_dead_letters().await;
    let db = service.database().await;
    db.execute_unprepared("DROP TRIGGER poison").await.unwrap();
    service.stop().await;
    let again = service.run(&["dead-letters", "retry", "--all"]).await;
    assert!(said(&again).contains("2 sent"), "{}", said(&again));
    assert_eq!(
        service.nats_process(),
        None,
        "the nats-server that was started for the command is stopped"
    );

    service.start_again().await;
    eventually_true("they are stored", async || {
        comment::Entity::find().count(&db).await.unwrap() == 5
    })
    .await;
}
