//! Rows that are as old as a test says, and what of them is in an archive.

use std::{collections::BTreeMap, fs, fs::File, path::Path};

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use entity::webhook_event::{Column, Entity, Model, status};
use igstream::instagram::identity::{first_receipt_at, received_at};
use sea_orm::{ColumnTrait, DatabaseConnection, EntityTrait, QueryFilter};
use serde_json::Value;
use uuid::Uuid;

use super::rows::{insert, webhook_event};

/// A row of that status that was done with so many days ago. Its message has a sequence that no stream holds.
pub fn row(number: u32, status: &str, days: i64) -> Model {
    let at = ago(days);
    let is_processed = [status::STORED, status::DUPLICATE].contains(&status);
    Model {
        id: receipt(at, number.into()),
        event_id: format!("comment_{number}_1000"),
        instagram_account_id: None,
        status: status.to_owned(),
        processed: is_processed,
        processed_at: is_processed.then_some(at),
        is_duplicate: status == status::DUPLICATE,
        stream_sequence: Some(i64::from(number)),
        occurred_at: at,
        received_at: at,
        created_at: at,
        updated_at: at,
        ..webhook_event(number.into())
    }
}

/// The same as a duplicate of `first`.
pub fn duplicate(number: u32, first: &Model, days: i64) -> Model {
    Model {
        event_id: first.event_id.clone(),
        duplicate_of: Some(first.id),
        ..row(number, status::DUPLICATE, days)
    }
}

/// To the microsecond, as columns hold it.
pub fn ago(days: i64) -> DateTime<Utc> {
    (Utc::now() - TimeDelta::days(days)).trunc_subsecs(6)
}

fn receipt(at: DateTime<Utc>, rest: u128) -> Uuid {
    Uuid::from_u128(first_receipt_at(at).as_u128() | 7 << 76 | 2 << 62 | rest)
}

pub async fn insert_all(db: &DatabaseConnection, rows: &[Model]) {
    for row in rows {
        insert(db, row.clone()).await.unwrap();
    }
}

pub async fn rows(db: &DatabaseConnection) -> Vec<Model> {
    Entity::find().all(db).await.unwrap()
}

pub async fn receipts(db: &DatabaseConnection) -> Vec<Uuid> {
    let mut receipts: Vec<Uuid> = rows(db).await.iter().map(|row| row.id).collect();
    receipts.sort_unstable();
    receipts
}

/// Makes every row so many days older, as a row is that was written then: its receipt, too, where it is said so.
/// Nobody else may write meanwhile.
pub async fn age(db: &DatabaseConnection, days: i64, and_receipts: bool) -> Vec<Model> {
    let by = TimeDelta::days(days);
    let receipt = |id: Uuid| {
        let rest = id.as_u128() & (u128::MAX >> 48);
        let time = first_receipt_at(received_at(id) - by).as_u128();
        if and_receipts {
            Uuid::from_u128(time | rest)
        } else {
            id
        }
    };
    let mut aged: Vec<Model> = rows(db)
        .await
        .into_iter()
        .map(|row| Model {
            id: receipt(row.id),
            duplicate_of: row.duplicate_of.map(receipt),
            processed_at: row.processed_at.map(|at| at - by),
            received_at: row.received_at - by,
            created_at: row.created_at - by,
            updated_at: row.updated_at - by,
            ..row
        })
        .collect();
    aged.sort_by_key(|row| (row.is_duplicate, row.id));
    for is_duplicate in [true, false] {
        Entity::delete_many()
            .filter(Column::IsDuplicate.eq(is_duplicate))
            .exec(db)
            .await
            .unwrap();
    }
    insert_all(db, &aged).await;
    aged
}

/// Every line of every file of the archive, by receipt: told how often it is there.
pub fn archived(directory: &Path) -> BTreeMap<Uuid, Vec<Value>> {
    let mut archived: BTreeMap<Uuid, Vec<Value>> = BTreeMap::new();
    for entry in fs::read_dir(directory).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "zst") {
            continue;
        }
        let text = zstd::stream::decode_all(File::open(&path).unwrap()).unwrap();
        for line in String::from_utf8(text).unwrap().lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            let receipt = line["id"].as_str().unwrap().parse().unwrap();
            archived.entry(receipt).or_default().push(line);
        }
    }
    archived
}

/// A line of the archive as the row that it was.
pub fn as_row(line: &Value) -> Model {
    let text = |name: &str| line[name].as_str().map(str::to_owned);
    let must = |name: &str| text(name).unwrap_or_else(|| panic!("{name}: {line}"));
    let uuid = |name: &str| text(name).map(|id| id.parse().unwrap());
    let time = |name: &str| text(name).map(|at| at.parse::<DateTime<Utc>>().unwrap());
    let number = |name: &str| i32::try_from(line[name].as_i64().unwrap()).unwrap();
    let payload = &line["payload"];
    Model {
        id: uuid("id").unwrap(),
        event_type: must("event_type"),
        event_id: must("event_id"),
        instagram_account_id: uuid("instagram_account_id"),
        ig_account_id: must("ig_account_id"),
        origin: text("origin"),
        object_type: text("object_type"),
        object_id: text("object_id"),
        sender_ig_id: text("sender_ig_id"),
        sender_username: text("sender_username"),
        payload: (!payload.is_null()).then(|| payload.clone()),
        status: must("status"),
        processed: line["processed"].as_bool().unwrap(),
        processed_at: time("processed_at"),
        processing_attempts: number("processing_attempts"),
        deaths: number("deaths"),
        last_processing_error: text("last_processing_error"),
        is_duplicate: line["is_duplicate"].as_bool().unwrap(),
        duplicate_of: uuid("duplicate_of"),
        stream_sequence: line["stream_sequence"].as_i64(),
        delivery_id: uuid("delivery_id").unwrap(),
        occurred_at: time("occurred_at").unwrap(),
        received_at: time("received_at").unwrap(),
        created_at: time("created_at").unwrap(),
        updated_at: time("updated_at").unwrap(),
    }
}
