//! Small deliveries, made by hand.

use serde_json::{Value, json};

pub const ACCOUNT: &str = "17841405822304914";

/// A delivery of one entry with these changes.
pub fn changes(account: &str, changes: &[Value]) -> Value {
    json!({ "object": "instagram", "entry": [{ "id": account, "time": 1_764_000_000, "changes": changes }] })
}

pub fn comment(id: &str) -> Value {
    json!({ "field": "comments", "value": {
        "id": id, "text": format!("text of {id}"), "from": { "id": "4711", "username": "ann" },
        "media": { "id": "1789", "media_product_type": "FEED" },
    } })
}

pub fn mention(media_id: &str) -> Value {
    json!({ "field": "mentions", "value": { "media_id": media_id } })
}

/// A delivery of one comment.
pub fn one_comment(id: &str) -> String {
    changes(ACCOUNT, &[comment(id)]).to_string()
}

/// A delivery of one mention.
pub fn one_mention(media_id: &str) -> String {
    changes(ACCOUNT, &[mention(media_id)]).to_string()
}

/// A delivery of one comment in grammatical JSON that few programs take: nested deeply, with numbers beyond all
/// bounds and a text that was cut.
pub fn strange_comment(id: &str) -> String {
    let nested = format!("{}{}", "[".repeat(200), "]".repeat(200));
    let strange = format!(
        r#""cut \ud83d","big":123456789012345678901234567890,"huge":1e999,"deep":{nested}"#
    );
    one_comment(id).replace(&format!("\"text of {id}\""), &strange)
}
