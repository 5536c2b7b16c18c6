//! A fault, tried under a steady load, and what came of it.

use std::{
    io::{Write, stderr},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use entity::webhook_event;
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};
use tokio::time::sleep;

use super::{Form, Moments, form, in_form};
use crate::support::{
    books::{Books, Tally},
    eventually::eventually,
    nats::Streams,
    postgres::{TestDatabase, connect},
    service::{Service, said},
    simulator::Simulator,
};

/// A fault that is tried.
pub struct Trial<'a> {
    what: &'static str,
    database: &'a TestDatabase,
    pub moments: Moments,
    simulator: Simulator,
    /// Comments that the test itself delivers: account, event id.
    comments: Vec<(String, String)>,
    slowest: Duration,
    last_fault: Instant,
}

/// When something broke, or was whole again where it is broken for a while.
#[derive(Clone, Copy)]
pub struct Fault {
    at: DateTime<Utc>,
    since: Instant,
}

impl Fault {
    pub fn now() -> Self {
        Self {
            at: Utc::now(),
            since: Instant::now(),
        }
    }
}

impl<'a> Trial<'a> {
    /// Starts the load on `service`, and returns when its first events are stored.
    pub async fn begin(what: &'static str, service: &Service, database: &'a TestDatabase) -> Self {
        Self::begin_at(&service.webhook(), what, service, database).await
    }

    /// The same by another way.
    pub async fn begin_at(
        url: &str,
        what: &'static str,
        service: &Service,
        database: &'a TestDatabase,
    ) -> Self {
        let moments = Moments::new();
        println!("{what}: IGSTREAM_TEST_SEED={} repeats it", moments.seed);
        let rate = in_form(25, 50);
        let begun = Fault::now();
        let trial = Self {
            what,
            database,
            simulator: Simulator::start_steadily(url, service, rate, moments.seed),
            moments,
            comments: Vec::new(),
            slowest: Duration::ZERO,
            last_fault: begun.since,
        };
        trial.until_stored_after(begun.at).await;
        trial
    }

    /// Lets the load go on for a random while: what breaks then breaks in the middle.
    pub async fn goes_on(&mut self) {
        let most = in_form(Duration::from_millis(1500), Duration::from_secs(4));
        let pause = self.moments.between(Duration::from_millis(200), most);
        sleep(pause).await;
        assert!(self.simulator.is_sending(), "it breaks under load");
    }

    /// Waits until what is received after the fault is stored.
    pub async fn recovers(&mut self, fault: Fault) {
        self.last_fault = fault.since;
        self.until_stored_after(fault.at).await;
        self.slowest = self.slowest.max(fault.since.elapsed());
    }

    async fn until_stored_after(&self, moment: DateTime<Utc>) {
        eventually("what is received is stored", async || {
            match self.stored_after(moment).await? {
                0 => Err("nothing is".to_owned()),
                _ => Ok(()),
            }
        })
        .await;
    }

    async fn stored_after(&self, moment: DateTime<Utc>) -> Result<u64, String> {
        let db = connect(self.database.url()).await;
        let db = db.map_err(|error| error.to_string())?;
        let stored = webhook_event::Entity::find()
            .filter(webhook_event::Column::ReceivedAt.gt(moment))
            .filter(webhook_event::Column::Processed.eq(true))
            .count(&db)
            .await;
        let closed = db.close().await;
        closed.and(stored).map_err(|error| error.to_string())
    }

    /// The test has delivered a comment itself.
    pub fn delivered(&mut self, ig_account_id: &str, event_id: String) {
        self.comments.push((ig_account_id.to_owned(), event_id));
    }

    /// Ends the load; all that was accepted must be where it belongs, once.
    pub async fn ends(self, service: &Service) {
        let streams = service.streams().await;
        self.ends_with(service, &streams).await;
    }

    /// The same where the streams are reached another way.
    pub async fn ends_with(self, service: &Service, streams: &Streams) {
        let mut ledger = self.simulator.finish_early().await;
        for (ig_account_id, event_id) in &self.comments {
            ledger.add_comment(ig_account_id, event_id);
        }
        streams.drained().await;
        let all_within = self.last_fault.elapsed();
        nothing_waits(service).await;
        let books = Books::read(&self.database.connect().await, streams).await;
        report(&Line {
            what: self.what,
            tally: books.tally(&ledger),
            slowest: self.slowest,
            all_within,
            seed: self.moments.seed,
        });
        books.balance(&ledger);
        let audit = service.run(&["audit", "--deep"]).await;
        assert_eq!(audit.status.code(), Some(0), "{}", said(&audit));
    }
}

async fn nothing_waits(service: &Service) {
    eventually("the metrics say that nothing waits", async || match service
        .metrics()
        .await
        .find("instagram_webhook_queue_depth", &[])
    {
        Some(0.0) => Ok(()),
        depth => Err(format!("{depth:?}")),
    })
    .await;
}

struct Line {
    what: &'static str,
    tally: Tally,
    slowest: Duration,
    all_within: Duration,
    seed: u64,
}

/// In the long form the line is what is wanted: not even a test that passes keeps it to itself.
fn report(line: &Line) {
    let Line { what, seed, .. } = line;
    let Tally {
        deliveries,
        events,
        stored,
        lost,
        doubled,
        innocent_dead,
    } = line.tally;
    let (slowest, all) = (line.slowest.as_secs_f64(), line.all_within.as_secs_f64());
    let line = format!(
        "{what}: accepted {deliveries} deliveries, {events} events; stored {stored}, lost {lost}, \
         doubled {doubled}, dead letters that were no poison {innocent_dead}; recovered within \
         {slowest:.1} s, all stored after {all:.1} s (seed {seed})\n"
    );
    match form() {
        Form::Short => print!("{line}"),
        Form::Long => stderr()
            .write_all(line.as_bytes())
            .expect("stderr takes it"),
    }
}
