//! Every file in `tests/fixtures`, posted to the whole service: its messages, its generic rows, its typed rows.
//!
//! Many fixtures tell of one comment or one message, and would become one row: those are posted one after the other,
//! and the rows of one are cleared away before the next. A new fixture needs no code here.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use entity::{
    client_account, comment, conversation, mention, message, message_reaction, messaging_postback,
    messaging_seen, story_insight,
    webhook_event::{self, status},
};
use igstream::stream::names::{DEAD_LETTERS, EVENTS, PLACE, STORED};
use sea_orm::{ConnectionTrait, DatabaseConnection, EntityTrait};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json, value::RawValue};
use uuid::Uuid;

use crate::support::{
    fixtures::{Expected, Fixture, compare, fixtures},
    nats::{Found, Streams},
    on_both,
    postgres::TestDatabase,
    service::Service,
    setup::Setup,
};

on_both!(every_fixture_goes_through_the_whole_service);

async fn every_fixture_goes_through_the_whole_service(database: TestDatabase) {
    let service = Setup::managed(&database).start().await;
    let (streams, database) = (service.streams().await, service.database().await);
    let mut differences = Vec::new();
    let mut posted = 0;
    for group in groups(fixtures()) {
        for (_, fixture) in &group {
            let answer = service.post(fixture.body()).await;
            assert_eq!(answer.status, 200, "{}", answer.body);
        }
        streams.drained().await;
        let seen = Seen::read(&database, &streams, posted).await;
        posted += seen.events.len();
        differences.extend(seen.differences(&group));
        clear(&database).await;
    }
    assert!(posted > 0);
    assert!(differences.is_empty(), "\n{}\n", differences.join("\n"));
    still_takes(&service, &streams).await;
}

async fn still_takes(service: &Service, streams: &Streams) {
    let before = streams.count(STORED).await;
    service
        .post(&crate::support::payloads::one_comment("afterwards"))
        .await;
    streams.drained().await;
    assert_eq!(streams.count(STORED).await, before + 1);
}

type Named = (String, Fixture);
/// Accounts, and ids of what happened to them.
type Things = BTreeSet<(String, String)>;

/// Fixtures that do not tell of the same things can be there together.
fn groups(fixtures: Vec<(String, String, Fixture)>) -> Vec<Vec<Named>> {
    let mut groups: Vec<(Things, Vec<Named>)> = Vec::new();
    for (folder, name, fixture) in fixtures {
        let things: Things = fixture.events.iter().filter_map(thing).collect();
        let named = (format!("{folder}/{name}"), fixture);
        match groups
            .iter_mut()
            .find(|(others, _)| others.is_disjoint(&things))
        {
            Some((others, group)) => {
                others.extend(things);
                group.push(named);
            }
            None => groups.push((things, vec![named])),
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

fn thing(event: &Expected) -> Option<(String, String)> {
    Some((event.ig_account_id.clone(), event.object_id.clone()?))
}

/// What an operator clears away, account rows apart, so that the next fixtures find an empty database.
async fn clear(database: &DatabaseConnection) {
    for table in [
        "instagram_comments",
        "instagram_mentions",
        "messages",
        "instagram_message_reactions",
        "instagram_messaging_postbacks",
        "instagram_messaging_seen",
        "instagram_story_insights_aggregated",
        "conversations",
        "instagram_webhook_events",
    ] {
        let statement = format!("DELETE FROM {table}");
        database.execute_unprepared(&statement).await.unwrap();
    }
}

/// All that a group of fixtures became.
struct Seen {
    /// What came since the group before, in order, a delivery's together.
    events: Vec<Told>,
    stored: HashMap<String, Found>,
    dead: HashMap<String, Found>,
    rows: HashMap<Uuid, webhook_event::Model>,
    accounts: HashMap<String, Uuid>,
    typed: HashMap<(String, Uuid, String), Map<String, Value>>,
    conversations: HashMap<Uuid, conversation::Model>,
}

/// A message on the stream of events, with its body read.
struct Told {
    message: Found,
    body: Value,
    raw: String,
}

impl Told {
    /// Of `raw` only the text: it may be such as few programs read.
    fn read(message: Found) -> Self {
        let fields: BTreeMap<String, Box<RawValue>> =
            serde_json::from_slice(&message.payload).expect("a body of JSON");
        let plain = fields.iter().filter(|(name, _)| *name != "raw");
        let body = plain.map(|(name, text)| {
            let value = igstream::instagram::json::parse(text.get()).expect("plain JSON");
            (name.clone(), value)
        });
        Self {
            body: Value::Object(body.collect()),
            raw: fields["raw"].get().to_owned(),
            message,
        }
    }

    fn text(&self, field: &str) -> &str {
        self.body[field].as_str().unwrap_or_default()
    }

    fn receipt(&self) -> Uuid {
        self.text("receipt_id").parse().expect("a receipt")
    }

    /// What happened.
    fn identity(&self) -> [&str; 3] {
        ["ig_account_id", "event_type", "event_id"].map(|field| self.text(field))
    }
}

impl Seen {
    async fn read(database: &DatabaseConnection, streams: &Streams, before: usize) -> Self {
        let by_receipt = |messages: Vec<Found>| {
            let messages = messages.into_iter();
            messages
                .map(|message| {
                    // Read by its id: the body may hold what few programs read.
                    let id = message.header("Nats-Msg-Id").split(':').nth(1);
                    (id.unwrap_or_default().to_owned(), message)
                })
                .collect()
        };
        let events = streams.messages(EVENTS).await.into_iter().skip(before);
        let rows = webhook_event::Entity::find().all(database).await.unwrap();
        let accounts = client_account::Entity::find().all(database).await.unwrap();
        let conversations = conversation::Entity::find().all(database).await.unwrap();
        Self {
            events: events.map(Told::read).collect(),
            stored: by_receipt(streams.messages(STORED).await),
            dead: by_receipt(streams.messages(DEAD_LETTERS).await),
            rows: rows.into_iter().map(|row| (row.id, row)).collect(),
            accounts: accounts
                .into_iter()
                .map(|account| (account.instagram_business_account_id, account.id))
                .collect(),
            typed: typed_rows(database).await,
            conversations: conversations.into_iter().map(|row| (row.id, row)).collect(),
        }
    }

    /// What is not as the fixtures say, which were posted in this order.
    fn differences(&self, group: &[Named]) -> Vec<String> {
        let mut differences = Vec::new();
        let mut deliveries = self.deliveries().into_iter();
        let mut judged = Vec::new();
        for (name, fixture) in group
            .iter()
            .filter(|(_, fixture)| !fixture.events.is_empty())
        {
            let told = deliveries.next().unwrap_or_default();
            if told.len() != fixture.events.len() {
                let (expected, found) = (fixture.events.len(), told.len());
                differences.push(format!(
                    "{name}: {expected} events are expected, {found} came"
                ));
                return differences;
            }
            for (expected, told) in fixture.events.iter().zip(told) {
                let expected = expected.arrived(fixture, told);
                let place = &expected.place;
                let mut found = Differences::default();
                found.message(&expected, told, fixture.body());
                judged.push((format!("{name} {place}"), expected, told, found));
            }
        }
        for (_, expected, told, found) in &mut judged {
            let is_first = self.is_first(told);
            self.generic_row(found, expected, told, is_first);
        }
        differences.extend(self.without_one_first());
        let told_rows = self.told_rows(judged.iter().map(|(_, _, told, _)| *told));
        for (_, expected, told, found) in &mut judged {
            self.typed_rows(found, expected, told, &told_rows);
        }
        for (place, _, _, found) in judged {
            differences.extend(found.0.into_iter().map(|found| format!("{place}: {found}")));
        }
        if deliveries.next().is_some() || self.rows.len() != self.events.len() {
            differences.push(format!(
                "{} events came, of {} rows, more than the group's",
                self.events.len(),
                self.rows.len()
            ));
        }
        differences
    }

    /// The events, a delivery's together, in the order in which they were posted.
    fn deliveries(&self) -> Vec<Vec<&Told>> {
        let mut deliveries: BTreeMap<&str, Vec<&Told>> = BTreeMap::new();
        for told in &self.events {
            // Its id is made when it arrives, and sorts by that.
            let delivery = deliveries.entry(told.text("delivery_id")).or_default();
            delivery.push(told);
        }
        deliveries.into_values().collect()
    }

    fn is_first(&self, told: &Told) -> bool {
        let row = self.rows.get(&told.receipt());
        row.is_some_and(|row| !row.is_duplicate)
    }

    /// Of several tellings of an event one is the first, of the delivery that came first; within that delivery it may
    /// be any.
    fn without_one_first(&self) -> Vec<String> {
        let mut tellings: BTreeMap<_, Vec<&Told>> = BTreeMap::new();
        for told in self.deliveries().into_iter().flatten() {
            tellings.entry(told.identity()).or_default().push(told);
        }
        tellings.retain(|_, told| {
            let firsts: Vec<_> = told.iter().filter(|told| self.is_first(told)).collect();
            firsts.len() != 1 || firsts[0].text("delivery_id") != told[0].text("delivery_id")
        });
        let said = |identity: [&str; 3]| format!("{identity:?} has not one first telling");
        tellings.into_keys().map(said).collect()
    }

    fn generic_row(
        &self,
        found: &mut Differences,
        expected: &Expected,
        told: &Told,
        is_first: bool,
    ) {
        let Some(row) = self.rows.get(&told.receipt()) else {
            return found.say("no row in the generic log");
        };
        let account = self.accounts.get(&clean(&expected.ig_account_id)).copied();
        let became = match (&expected.malformed, account, is_first) {
            (_, _, false) => status::DUPLICATE,
            (Some(_), ..) => status::DEAD,
            (_, None, _) => status::UNASSIGNED,
            (_, Some(_), _) => status::STORED,
        };
        let processed = became == status::STORED || became == status::DUPLICATE;
        let text = |text: &Option<String>| text.as_deref().map(clean);
        let malformed = expected.malformed.as_ref().filter(|_| is_first);
        for (column, expected, is) in [
            (
                "event_type",
                json!(expected.event_type),
                json!(row.event_type),
            ),
            ("event_id", json!(expected.event_id), json!(row.event_id)),
            (
                "ig_account_id",
                json!(clean(&expected.ig_account_id)),
                json!(row.ig_account_id),
            ),
            (
                "instagram_account_id",
                json!(account),
                json!(row.instagram_account_id),
            ),
            ("origin", json!(origin(&expected.place)), json!(row.origin)),
            (
                "object_type",
                json!(clean(&expected.object_type)),
                json!(row.object_type),
            ),
            (
                "object_id",
                json!(text(&expected.object_id)),
                json!(row.object_id),
            ),
            (
                "sender_ig_id",
                json!(text(&expected.sender_ig_id)),
                json!(row.sender_ig_id),
            ),
            (
                "sender_username",
                json!(text(&expected.sender_username)),
                json!(row.sender_username),
            ),
            (
                "occurred_at",
                json!(expected.occurred_at),
                json!(time(row.occurred_at)),
            ),
            (
                "received_at",
                told.body["received_at"].clone(),
                json!(time(row.received_at)),
            ),
            (
                "delivery_id",
                told.body["delivery_id"].clone(),
                json!(row.delivery_id),
            ),
            ("status", json!(became), json!(row.status)),
            ("processed", json!(processed), json!(row.processed)),
            ("is_duplicate", json!(!is_first), json!(row.is_duplicate)),
            (
                "last_processing_error",
                json!(malformed),
                json!(row.last_processing_error),
            ),
        ] {
            compare(&mut found.0, &format!("row: {column}"), &expected, &is);
        }
        let receipt = told.receipt().to_string();
        for (stream, messages, at) in [
            (STORED, &self.stored, status::STORED),
            (DEAD_LETTERS, &self.dead, status::DEAD),
        ] {
            let (is_there, should_be) = (messages.contains_key(&receipt), became == at);
            if is_there != should_be {
                found.say(&format!("{stream} has it: {is_there}, and it is {became}"));
            }
        }
    }

    /// By table, account and id, the columns that each event told of the row.
    fn told_rows<'a>(
        &self,
        events: impl Iterator<Item = &'a Told>,
    ) -> HashMap<Key, Vec<&'a Map<String, Value>>> {
        let mut rows: HashMap<Key, Vec<_>> = HashMap::new();
        for told in events {
            for key in self.keys(told) {
                let columns = columns_of(&key.0, &told.body["data"]);
                rows.entry(key).or_default().push(columns);
            }
        }
        rows
    }

    /// The rows of an event, as subscribers are told of them.
    fn keys(&self, told: &Told) -> Vec<Key> {
        let Some(stored) = self.stored.get(&told.receipt().to_string()) else {
            return Vec::new();
        };
        let stored: Stored = serde_json::from_slice(&stored.payload).expect("a body of JSON");
        let rows = stored.rows.into_iter();
        rows.map(|row| (row.table, stored.account_id, row.id))
            .collect()
    }

    /// The row of that id. Two events can share a row by its other key; it then has the id of one of them, and all
    /// that the other told.
    fn row(&self, key: &Key, told: &Told) -> Option<&Map<String, Value>> {
        let (table, account, id) = key;
        let by_id = self.typed.get(&(table.clone(), *account, clean(id)));
        by_id.or_else(|| {
            let columns = columns_of(table, &told.body["data"]);
            let is_told = |row: &Map<String, Value>| {
                columns
                    .iter()
                    .all(|(name, value)| row.get(name).map(stored) == Some(stored(value)))
            };
            let mut rows = self.typed.iter();
            let (_, row) =
                rows.find(|(key, row)| key.0 == *table && key.1 == *account && is_told(row))?;
            Some(row)
        })
    }

    fn typed_rows(
        &self,
        found: &mut Differences,
        expected: &Expected,
        told: &Told,
        told_rows: &HashMap<Key, Vec<&Map<String, Value>>>,
    ) {
        let keys = self.keys(told);
        let is_stored = self.stored.contains_key(&told.receipt().to_string());
        if is_stored && keys.is_empty() != (expected.event_type == "unknown") {
            found.say(&format!("it is stored in the rows {keys:?}"));
        }
        let data = Value::Object(expected.data.clone());
        for key in keys {
            let Some(row) = self.row(&key, told) else {
                found.say(&format!("no row {key:?}"));
                continue;
            };
            let tellings = &told_rows[&key];
            for (column, value) in columns_of(&key.0, &data) {
                let name = format!("{}: {column}", key.0);
                match tellings.as_slice() {
                    [_] if column != "message" => found.column(&name, value, &row[column]),
                    [_] => {}
                    several => found.merged(&name, column, several, &row[column]),
                }
            }
            if let ([_], Some(conversation)) = (tellings.as_slice(), row.get("conversation_id")) {
                let conversation: Option<Uuid> =
                    serde_json::from_value(conversation.clone()).unwrap();
                let other =
                    conversation.map(|id| self.conversations[&id].participant_ig_id.clone());
                let participant = expected.participant.as_deref().map(clean);
                compare(
                    &mut found.0,
                    "participant",
                    &json!(participant),
                    &json!(other),
                );
            }
        }
        let Some(participant) = expected.participant.as_deref().filter(|_| is_stored) else {
            return;
        };
        let account = self.accounts.get(&clean(&expected.ig_account_id));
        let is_there = self.conversations.values().any(|row| {
            Some(&row.account_id) == account && row.participant_ig_id == clean(participant)
        });
        if !is_there {
            found.say(&format!("no conversation with {participant}"));
        }
    }
}

/// What a message on `instagram.stored.*` says of an event's rows.
#[derive(Deserialize)]
struct Stored {
    account_id: Uuid,
    rows: Vec<StoredRow>,
}

#[derive(Deserialize)]
struct StoredRow {
    table: String,
    id: String,
}

/// A table, an account, an id.
type Key = (String, Uuid, String);

/// What an event's data says of its row in `table`.
fn columns_of<'a>(table: &str, data: &'a Value) -> &'a Map<String, Value> {
    static NONE: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);
    let nested = data.get("message").filter(|_| table == "messages");
    nested.unwrap_or(data).as_object().unwrap_or(&NONE)
}

#[derive(Default)]
struct Differences(Vec<String>);

impl Differences {
    fn say(&mut self, what: &str) {
        self.0.push(what.to_owned());
    }

    /// The message on the stream of events.
    fn message(&mut self, expected: &Expected, told: &Told, body: &str) {
        self.0.extend(expected.differences(&told.body));
        let Found { subject, .. } = &told.message;
        let event_type = &expected.event_type;
        let prefix = format!("instagram.events.{event_type}.");
        let token = subject.strip_prefix(&prefix).unwrap_or_default();
        let is_plain = expected
            .ig_account_id
            .bytes()
            .all(|byte| byte.is_ascii_digit());
        let is_as_it_is = token == expected.ig_account_id;
        if token.is_empty() || token.contains('.') || (is_plain && !token.eq("-") && !is_as_it_is) {
            self.say(&format!("the subject is {subject}"));
        }
        for (header, expected) in [
            ("ce-specversion", "1.0"),
            ("ce-id", expected.event_id.as_str()),
            ("ce-type", &format!("com.instagram.{event_type}")),
            ("ce-source", &format!("/instagram/{token}")),
            ("ce-time", &expected.occurred_at),
            ("content-type", "application/json"),
            ("Nats-Msg-Id", told.text("receipt_id")),
            (PLACE, &expected.place),
        ] {
            let is = told.message.header(header);
            compare(&mut self.0, header, &json!(expected), &json!(is));
        }
        if told.message.header("traceparent").len() != 55 {
            self.say("the traceparent is none");
        }
        if at(body, &expected.place) != Some(told.raw.as_str()) {
            self.say(&format!("raw is {}", told.raw));
        }
    }

    /// A column of a row that this event alone told of.
    fn column(&mut self, name: &str, expected: &Value, is: &Value) {
        let (expected, is) = (stored(expected), stored(is));
        compare(&mut self.0, name, &expected, &is);
    }

    /// A column of a row that several events told of: what one of them told. Which one is tested where tellings meet.
    fn merged(&mut self, name: &str, column: &str, tellings: &[&Map<String, Value>], is: &Value) {
        let unsent = tellings
            .iter()
            .any(|columns| columns.get("is_deleted") == Some(&json!(true)));
        let told = tellings.iter().any(|columns| {
            let told = columns.get(column).unwrap_or(&Value::Null);
            stored(told) == stored(is)
        });
        let is_blanked = unsent && is.is_null();
        if !told && !is_blanked {
            self.say(&format!("{name} is {is}, which none of {tellings:?} told"));
        }
    }
}

/// As a column holds it: no U+0000, and a time is a time however it is written.
fn stored(value: &Value) -> Value {
    match value {
        Value::String(text) => match text.parse::<chrono::DateTime<chrono::Utc>>() {
            Ok(at) => json!(time(at)),
            Err(_) => json!(clean(text)),
        },
        other => other.clone(),
    }
}

fn clean(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

fn time(at: chrono::DateTime<chrono::Utc>) -> String {
    igstream::instagram::time::canonical(at)
}

/// The kind of list in which the item at `place` stood.
fn origin(place: &str) -> &str {
    let list = place.rsplit('/').nth(1).unwrap_or_default();
    match list {
        "changes" | "messaging" | "standby" => list,
        _ => "field",
    }
}

/// The text at a JSON pointer, byte for byte.
fn at<'a>(text: &'a str, pointer: &str) -> Option<&'a str> {
    let mut keys = pointer.split('/').skip(1);
    keys.try_fold(text.trim(), |text, key| {
        let step = if let Ok(index) = key.parse::<usize>() {
            let elements: Vec<&RawValue> = serde_json::from_str(text).ok()?;
            elements.get(index).copied()
        } else {
            let fields: HashMap<String, &RawValue> = serde_json::from_str(text).ok()?;
            fields.get(key).copied()
        };
        step.map(RawValue::get)
    })
}

impl Expected {
    /// The same, arrived now: where a fixture tells no time, the time of arrival stands in for it.
    fn arrived(&self, fixture: &Fixture, told: &Told) -> Self {
        let (then, now) = (time(fixture.received_at), told.text("received_at"));
        let mut expected = self.clone();
        if expected.occurred_at == then {
            now.clone_into(&mut expected.occurred_at);
        }
        replace(&then, now, expected.data.values_mut());
        expected
    }
}

fn replace<'a>(then: &str, now: &str, values: impl Iterator<Item = &'a mut Value>) {
    for value in values {
        match value {
            Value::String(text) if text == then => now.clone_into(text),
            Value::Object(fields) => replace(then, now, fields.values_mut()),
            _ => {}
        }
    }
}

/// Every row of every typed table, by table, account and id.
async fn typed_rows(database: &DatabaseConnection) -> HashMap<Key, Map<String, Value>> {
    let mut rows = HashMap::new();
    macro_rules! read {
        ($($table:ident),*) => {$(
            let found = $table::Entity::find().all(database).await.unwrap();
            let table = sea_orm::EntityName::table_name(&$table::Entity).to_owned();
            rows.extend(found.into_iter().map(|row| keyed(&table, row.account_id, &row)));
        )*};
    }
    read!(
        comment,
        mention,
        message,
        message_reaction,
        messaging_postback,
        messaging_seen,
        story_insight
    );
    rows
}

fn keyed(table: &str, account: Uuid, row: &impl Serialize) -> (Key, Map<String, Value>) {
    let Value::Object(row) = json!(row) else {
        panic!("a row is an object");
    };
    let id = row["id"].as_str().expect("an id").to_owned();
    ((table.to_owned(), account, id), row)
}
