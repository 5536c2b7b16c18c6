//! What `igstream audit` says, and a service whose books are looked at, or falsified.

use entity::webhook_event::{Column, Entity, Model};
use igstream::stream::names::EVENTS;
use sea_orm::sea_query::{Expr, IntoCondition};
use sea_orm::{
    ColumnTrait, DatabaseConnection, EntityTrait, IntoActiveModel, QueryFilter, Value as Sql,
};
use serde_json::Value;
use uuid::Uuid;

use super::{
    eventually::{eventually, eventually_true},
    nats::{NatsServer, Streams},
    payloads::{one_comment, one_mention},
    postgres::TestDatabase,
    service::{Service, said},
    setup::Setup,
};

/// What an audit said.
#[derive(Debug)]
pub struct Audit {
    pub code: Option<i32>,
    pub ledger: Value,
    /// On standard error.
    pub said: String,
}

impl Audit {
    pub async fn of(service: &Service, arguments: &[&str]) -> Self {
        let output = service
            .run(&[&["audit", "--json"], arguments].concat())
            .await;
        let ledger = serde_json::from_slice(&output.stdout);
        Self {
            code: output.status.code(),
            ledger: ledger.unwrap_or_else(|_| panic!("no ledger: {}", said(&output))),
            said: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The plain one and the deep one; both must balance. Returns the deep one.
    pub async fn balanced(service: &Service) -> Self {
        let plain = Self::of(service, &[]).await;
        assert!(
            plain.code == Some(0) && plain.ledger["balances"] == true,
            "{plain:#?}"
        );
        let deep = Self::of(service, &["--deep"]).await;
        assert!(
            deep.code == Some(0) && deep.ledger["balances"] == true,
            "{deep:#?}"
        );
        deep
    }

    pub fn total(&self, name: &str) -> u64 {
        self.ledger["total"][name]
            .as_u64()
            .unwrap_or_else(|| panic!("{name}: {self:#?}"))
    }

    pub fn deep(&self, name: &str) -> u64 {
        self.ledger["deep"][name]
            .as_u64()
            .unwrap_or_else(|| panic!("{name}: {self:#?}"))
    }

    pub fn of_type(&self, name: &str) -> &Value {
        let types = self.ledger["types"].as_array().unwrap();
        types
            .iter()
            .find(|of_type| of_type["event_type"] == name)
            .unwrap()
    }

    /// What is wrong with which receipt.
    pub fn differences(&self) -> Vec<(&str, Uuid)> {
        let differences = self.ledger["differences"].as_array().unwrap();
        differences
            .iter()
            .map(|difference| {
                let text = |name: &str| difference[name].as_str().unwrap();
                (text("wrong"), text("receipt").parse().unwrap())
            })
            .collect()
    }

    /// It does not balance, for these reasons alone.
    pub fn differs(&self, wanted: &[(&str, Uuid)]) {
        assert_eq!(
            (self.code, &self.ledger["balances"]),
            (Some(1), &false.into()),
            "{self:#?}"
        );
        assert_eq!(self.differences(), wanted, "{self:#?}");
        assert!(self.said.contains("do not balance"), "{}", self.said);
    }
}

/// A service, and what it stands on.
pub struct World {
    pub service: Service,
    pub streams: Streams,
    pub database: DatabaseConnection,
    _nats: NatsServer,
    _database: TestDatabase,
}

impl World {
    pub async fn of(database: TestDatabase, change: impl FnOnce(Setup) -> Setup) -> Self {
        let nats = NatsServer::start().await;
        let service = change(Setup::external(&nats, &database)).start().await;
        let streams = service.streams().await;
        eventually_true("the schema and the streams are there", async || {
            streams.js.get_stream(EVENTS).await.is_ok()
        })
        .await;
        Self {
            streams,
            database: service.database().await,
            service,
            _nats: nats,
            _database: database,
        }
    }

    /// With these comments, a mention before them and one after them.
    pub async fn with_comments(database: TestDatabase, ids: &[&str]) -> Self {
        let world = Self::of(database, |setup| setup).await;
        world.service.deliver(&one_mention("before")).await;
        world.streams.drained().await;
        for id in ids {
            world.service.deliver(&one_comment(id)).await;
        }
        world.streams.drained().await;
        world.service.deliver(&one_mention("after")).await;
        world.streams.drained().await;
        world
    }

    pub async fn rows(&self) -> Vec<Model> {
        Entity::find().all(&self.database).await.unwrap()
    }

    pub async fn row(&self, event_id: &str) -> Model {
        let found = Entity::find().filter(Column::EventId.eq(event_id));
        found.one(&self.database).await.unwrap().unwrap()
    }

    pub async fn delete_row(&self, row: &Model) {
        Entity::delete_by_id(row.id)
            .exec(&self.database)
            .await
            .unwrap();
    }

    /// Changes a column of the rows of which `which` is so.
    pub async fn change(&self, column: Column, value: impl Into<Sql>, which: impl IntoCondition) {
        Entity::update_many()
            .col_expr(column, Expr::value(value))
            .filter(which)
            .exec(&self.database)
            .await
            .unwrap();
    }

    pub async fn delete_message(&self, sequence: Option<i64>) {
        let stream = self.streams.js.get_stream(EVENTS).await.unwrap();
        let sequence = u64::try_from(sequence.unwrap()).unwrap();
        assert!(stream.delete_message(sequence).await.unwrap());
    }

    pub async fn insert(&self, row: Model) {
        let row = row.into_active_model();
        Entity::insert(row)
            .exec_without_returning(&self.database)
            .await
            .unwrap();
    }

    /// Publishes the message of that row once more, as after a crash longer than the stream's window.
    pub async fn publish_again(&self, row: &Model) -> u64 {
        let stream = self.streams.js.get_stream(EVENTS).await.unwrap();
        let sequence = u64::try_from(row.stream_sequence.unwrap()).unwrap();
        let message = stream.get_raw_message(sequence).await.unwrap();
        eventually("the stream has forgotten it", async || {
            let js = &self.streams.js;
            let (subject, headers) = (message.subject.clone(), message.headers.clone());
            let sent = js.publish_with_headers(subject, headers, message.payload.clone());
            let acknowledged = sent.await.unwrap().await.unwrap();
            if acknowledged.duplicate {
                Err("it is remembered".to_owned())
            } else {
                Ok(acknowledged.sequence)
            }
        })
        .await
    }
}
