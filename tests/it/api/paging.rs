//! Every event exactly once over all pages, whatever comes meanwhile.

use std::collections::BTreeSet;

use super::client::{Client, account, setup};
use crate::support::{
    on_both,
    payloads::{ACCOUNT, changes, comment},
    postgres::TestDatabase,
};

on_both! {
    every_event_is_on_one_page,
    a_page_that_few_events_match_goes_on,
}

async fn every_event_is_on_one_page(database: TestDatabase) {
    let service = setup(&database).await.start().await;
    let batch = |name: &str, count: usize| {
        let comments: Vec<_> = (0..count)
            .map(|nth| comment(&format!("{name}{nth}")))
            .collect();
        changes(ACCOUNT, &comments).to_string()
    };
    // One transaction: they are all of one time.
    service.deliver(&batch("first", 60)).await;
    service.deliver(&batch("second", 45)).await;
    let streams = service.streams().await;
    streams.drained().await;
    let events = format!("/webhooks/events/{}", account(&service, ACCOUNT).await);
    let client = Client::of(&service);
    for limit in [1, 7, 105, 500] {
        let all = client.all(&format!("{events}?limit={limit}")).await;
        let receipts: BTreeSet<&str> = all
            .iter()
            .map(|event| event["receipt_id"].as_str().unwrap())
            .collect();
        assert_eq!((all.len(), receipts.len()), (105, 105), "limit {limit}");
        let order: Vec<_> = all
            .iter()
            .map(|event| {
                (
                    event["created_at"].as_str().unwrap(),
                    event["receipt_id"].as_str().unwrap(),
                )
            })
            .collect();
        assert!(order.is_sorted_by(|a, b| a > b), "the newest first");
    }
    assert_eq!(
        client.json(&events).await["items"]
            .as_array()
            .unwrap()
            .len(),
        50,
        "the default"
    );

    let (mut seen, mut next) = (Vec::new(), Some(String::new()));
    let mut nth = 0;
    while let Some(cursor) = next {
        let page = client.json(&format!("{events}?limit=10{cursor}")).await;
        let ids = page["items"].as_array().unwrap().iter();
        seen.extend(ids.map(|event| event["event_id"].as_str().unwrap().to_owned()));
        next = page["next_cursor"]
            .as_str()
            .map(|cursor| format!("&cursor={cursor}"));
        service.deliver(&batch(&format!("new{nth}-"), 3)).await;
        streams.drained().await;
        nth += 1;
    }
    let distinct: BTreeSet<_> = seen.iter().cloned().collect();
    assert_eq!(
        (seen.len(), distinct.len()),
        (105, 105),
        "what came meanwhile is on none of them"
    );
    assert!(!seen.iter().any(|id| id.contains("new")), "{seen:?}");
}

/// More of other types than a window has, before the few that are wanted.
async fn a_page_that_few_events_match_goes_on(database: TestDatabase) {
    let service = setup(&database).await.start().await;
    let mention = crate::support::payloads::mention;
    let mentions = |name: &str| {
        let all: Vec<_> = (0..3).map(|nth| mention(&format!("{name}{nth}"))).collect();
        changes(ACCOUNT, &all).to_string()
    };
    service.deliver(&mentions("old")).await;
    service.streams().await.drained().await;
    for part in 0..5 {
        let comments: Vec<_> = (0..900)
            .map(|nth| comment(&format!("{part}-{nth}")))
            .collect();
        service
            .deliver(&changes(ACCOUNT, &comments).to_string())
            .await;
    }
    service.streams().await.drained().await;
    service.deliver(&mentions("new")).await;
    service.streams().await.drained().await;
    let events = format!("/webhooks/events/{}", account(&service, ACCOUNT).await);
    let client = Client::of(&service);
    for limit in [1, 3, 4, 6, 50] {
        let found = client
            .all(&format!("{events}?type=mention&limit={limit}"))
            .await;
        let ids: Vec<&str> = found
            .iter()
            .map(|event| event["object_id"].as_str().unwrap())
            .collect();
        assert_eq!(ids.len(), 6, "limit {limit}: {ids:?}");
        assert!(ids[..3].iter().all(|id| id.starts_with("new")), "{ids:?}");
        assert!(ids[3..].iter().all(|id| id.starts_with("old")), "{ids:?}");
    }
    let page = client.json(&format!("{events}?type=mention&limit=6")).await;
    assert_eq!(
        page["items"].as_array().unwrap().len(),
        6,
        "one page, however far they are"
    );
    assert_eq!(
        client
            .all(&format!("{events}?type=story_insights"))
            .await
            .len(),
        0
    );
}
