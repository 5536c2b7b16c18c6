//! `igstream audit` where the books were falsified: what differs is found and named.

use entity::webhook_event::{Entity, Model};
use sea_orm::EntityTrait;
use uuid::Uuid;

use crate::support::{
    audit::{Audit, World},
    on_both,
    payloads::{ACCOUNT, changes, comment},
    postgres::TestDatabase,
    rows::webhook_event,
    service::said,
};

on_both! {
    a_row_that_is_gone_is_missing,
    a_message_that_is_gone_leaves_its_row_surplus,
    a_row_that_nobody_sent_is_surplus,
    an_item_without_message_and_row_is_found_from_the_journal,
    names_no_more_than_a_hundred,
}

async fn a_row_that_is_gone_is_missing(database: TestDatabase) {
    let world = World::with_comments(database, &["1", "2", "3"]).await;
    let row = world.row("comment_2_4711").await;
    world.delete_row(&row).await;
    let deep = Audit::of(&world.service, &["--deep"]).await;
    deep.differs(&[("missing", row.id)]);
    let named = &deep.ledger["differences"][0];
    assert_eq!(named["event_type"], "comment");
    assert_eq!(named["ig_account_id"], ACCOUNT);
    assert_eq!(named["event_id"], "comment_2_4711");
    assert_eq!(named["delivery_id"], row.delivery_id.to_string());
    assert_eq!(
        (
            deep.total("missing"),
            deep.total("receipts"),
            deep.deep("missing")
        ),
        (1, 5, 1)
    );
    let text = said(&world.service.run(&["audit"]).await);
    for part in [
        "1 receipts have no row",
        "missing: no row",
        &row.id.to_string(),
        "audit --deep",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    // Made again, it is there.
    world.insert(row).await;
    Audit::balanced(&world.service).await;
}

async fn a_message_that_is_gone_leaves_its_row_surplus(database: TestDatabase) {
    let world = World::with_comments(database, &["1", "2", "3"]).await;
    let middle = world.row("comment_2_4711").await;
    world.delete_message(middle.stream_sequence).await;
    Audit::of(&world.service, &["--deep"])
        .await
        .differs(&[("surplus", middle.id)]);
    // The first of its type is no different from a purge but by its age.
    let first = world.row("comment_1_4711").await;
    world.delete_message(first.stream_sequence).await;
    let audit = Audit::of(&world.service, &[]).await;
    audit.differs(&[("surplus", first.id), ("surplus", middle.id)]);
    assert_eq!(audit.total("surplus"), 2);
    assert!(
        audit.said.contains("2 rows have no message"),
        "{}",
        audit.said
    );
}

async fn a_row_that_nobody_sent_is_surplus(database: TestDatabase) {
    let world = World::with_comments(database, &["1", "2"]).await;
    let real = world.row("comment_1_4711").await;
    let made_up = |id: u128, sequence: Option<i64>| Model {
        id: Uuid::from_u128(id),
        event_id: format!("comment_{id}_1"),
        stream_sequence: sequence,
        instagram_account_id: None,
        received_at: real.received_at,
        ..webhook_event(id)
    };
    world.insert(made_up(1, real.stream_sequence)).await;
    // In no stretch of the stream: it cannot be told from one that was purged, or is in flight.
    world.insert(made_up(2, None)).await;
    world.insert(made_up(3, Some(i64::MAX))).await;
    let audit = Audit::of(&world.service, &["--deep"]).await;
    audit.differs(&[("surplus", Uuid::from_u128(1))]);
    assert_eq!(audit.total("receipts"), 4);
}

async fn an_item_without_message_and_row_is_found_from_the_journal(database: TestDatabase) {
    let world = World::with_comments(database, &["1", "2", "3"]).await;
    let row = world.row("comment_2_4711").await;
    world.delete_message(row.stream_sequence).await;
    world.delete_row(&row).await;
    let plain = Audit::of(&world.service, &[]).await;
    assert_eq!(plain.code, Some(0), "{plain:#?}");
    let deep = Audit::of(&world.service, &["--deep"]).await;
    deep.differs(&[("lost", row.id)]);
    assert_eq!(
        (deep.deep("lost"), deep.deep("items"), deep.total("missing")),
        (1, 5, 0)
    );
    assert_eq!(deep.ledger["differences"][0]["event_id"], "comment_2_4711");
    let text = said(&world.service.run(&["audit", "--deep"]).await);
    assert!(text.contains("lost: neither message nor row"), "{text}");
}

async fn names_no_more_than_a_hundred(database: TestDatabase) {
    let world = World::of(database, |setup| setup).await;
    let comments: Vec<_> = (0..130).map(|id| comment(&id.to_string())).collect();
    let delivery = changes(ACCOUNT, &comments).to_string();
    world.service.deliver(&delivery).await;
    world.streams.drained().await;
    Entity::delete_many().exec(&world.database).await.unwrap();
    let deep = Audit::of(&world.service, &["--deep"]).await;
    assert_eq!((deep.total("missing"), deep.deep("missing")), (130, 130));
    assert_eq!(deep.differences().len(), 100);
    let text = said(&world.service.run(&["audit"]).await);
    assert!(text.contains("and 30 more"), "{text}");
}
