//! A row of the generic log as a line of JSON: every column under its name, in the order of the table.

use chrono::{DateTime, Utc};
use entity::webhook_event::Model;
use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::instagram::time::canonical;
use crate::store::unassigned::Kept;

#[derive(Serialize)]
struct Line<'a> {
    id: Uuid,
    event_type: &'a str,
    event_id: &'a str,
    instagram_account_id: Option<Uuid>,
    ig_account_id: &'a str,
    origin: Option<&'a str>,
    object_type: Option<&'a str>,
    object_id: Option<&'a str>,
    sender_ig_id: Option<&'a str>,
    sender_username: Option<&'a str>,
    payload: Option<Box<RawValue>>,
    status: &'a str,
    processed: bool,
    processed_at: Option<String>,
    processing_attempts: i32,
    deaths: i32,
    last_processing_error: Option<&'a str>,
    is_duplicate: bool,
    duplicate_of: Option<Uuid>,
    stream_sequence: Option<i64>,
    delivery_id: Uuid,
    occurred_at: String,
    received_at: String,
    created_at: String,
    updated_at: String,
}

/// The line, without its end.
pub(super) fn of(kept: Kept) -> Result<String, serde_json::Error> {
    // Taken apart whole, so that no column can be forgotten.
    let Model {
        id,
        event_type,
        event_id,
        instagram_account_id,
        ig_account_id,
        origin,
        object_type,
        object_id,
        sender_ig_id,
        sender_username,
        payload: _,
        status,
        processed,
        processed_at,
        processing_attempts,
        deaths,
        last_processing_error,
        is_duplicate,
        duplicate_of,
        stream_sequence,
        delivery_id,
        occurred_at,
        received_at,
        created_at,
        updated_at,
    } = &kept.row;
    let time = |time: &DateTime<Utc>| canonical(*time);
    serde_json::to_string(&Line {
        id: *id,
        event_type,
        event_id,
        instagram_account_id: *instagram_account_id,
        ig_account_id,
        origin: origin.as_deref(),
        object_type: object_type.as_deref(),
        object_id: object_id.as_deref(),
        sender_ig_id: sender_ig_id.as_deref(),
        sender_username: sender_username.as_deref(),
        payload: kept.payload_text.map(payload).transpose()?,
        status,
        processed: *processed,
        processed_at: processed_at.as_ref().map(time),
        processing_attempts: *processing_attempts,
        deaths: *deaths,
        last_processing_error: last_processing_error.as_deref(),
        is_duplicate: *is_duplicate,
        duplicate_of: *duplicate_of,
        stream_sequence: *stream_sequence,
        delivery_id: *delivery_id,
        occurred_at: time(occurred_at),
        received_at: time(received_at),
        created_at: time(created_at),
        updated_at: time(updated_at),
    })
}

/// Letter by letter; but what Instagram broke into lines goes on one. Inside a text of JSON there is no line break.
fn payload(text: String) -> Result<Box<RawValue>, serde_json::Error> {
    let is_on_one_line = !text.contains(['\n', '\r']);
    RawValue::from_string(if is_on_one_line {
        text
    } else {
        text.replace(['\n', '\r'], " ")
    })
}
