//! Posts deliveries as Instagram does: at a pace, over a bounded number of connections, and again
//! if the answer is a 5xx or none.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{sync::watch, task::JoinSet, time::Instant};

use super::{
    delivery::Delivery,
    ledger::Ledger,
    post::{Answer, PlayError, Poster, is_to_be_retried},
    signer::Signer,
    summary::{Summary, Tally},
    traffic::Traffic,
};

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(4);
/// Longer than any run.
const NEVER: Duration = Duration::from_hours(10 * 365 * 24);

/// How the traffic is posted.
#[derive(Debug, Clone)]
pub struct Play {
    /// Where the service takes webhooks.
    pub url: String,
    /// Deliveries a second; 0 is as fast as they are taken.
    pub rate: f64,
    /// When to stop.
    pub end: End,
    /// At most so many deliveries are under way at once.
    pub connections: usize,
    /// For how long a delivery is posted again before it counts as failed.
    pub patience: Duration,
}

/// How a run ends before its time: nothing new is posted either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// What was not accepted yet is not posted again.
    AtOnce,
    /// What is under way is posted until it is answered for good.
    WhenAnswered,
}

/// When a run ends.
#[derive(Debug, Clone, Copy)]
pub enum End {
    /// After so many deliveries.
    Count(u64),
    /// After so long a time.
    After(Duration),
}

/// Plays `traffic` until the end of `play`, or until `stop` is ready, which says how to stop; `on_answer`
/// is called once a delivery. A post that is under way when it stops is finished first.
///
/// # Errors
/// [`PlayError`] if the run cannot be started or recorded. Deliveries that fail are no error of
/// the run: they are in the [`Summary`].
pub async fn play(
    traffic: Traffic,
    signer: Signer,
    play: Play,
    ledger: Option<Ledger>,
    stop: impl Future<Output = Stop> + Send + 'static,
    on_answer: impl Fn() + Send + Sync + 'static,
) -> Result<Summary, PlayError> {
    let poster = Poster::new(&play.url, play.connections, signer)?;
    let connections = play.connections.max(1);
    let run = Arc::new(Run {
        play,
        poster,
        ledger,
        source: Mutex::new(traffic),
        started: Instant::now(),
        last_answer: AtomicU64::new(0),
        stop: watch::Sender::new(None),
        on_answer: Box::new(on_answer),
    });
    let interrupt = tokio::spawn(stop_when(Arc::clone(&run), stop));
    let tally = run_connections(&run, connections).await;
    interrupt.abort();
    let elapsed = run.started.elapsed();
    if let Some(ledger) = &run.ledger {
        ledger.finish()?;
    }
    let stopped = run.stop.borrow().as_ref().map(|(_, reason)| reason.clone());
    Ok(tally?.summary(elapsed, stopped))
}

async fn stop_when(run: Arc<Run>, stop: impl Future<Output = Stop> + Send) {
    let stop = stop.await;
    run.stop_because(stop, "interrupted");
}

async fn run_connections(run: &Arc<Run>, connections: usize) -> Result<Tally, PlayError> {
    let mut tasks = JoinSet::new();
    for _ in 0..connections {
        tasks.spawn(connection(Arc::clone(run)));
    }
    let mut total = Tally::new()?;
    while let Some(tally) = tasks.join_next().await {
        total.merge(tally??);
    }
    Ok(total)
}

/// What the connections share.
struct Run {
    play: Play,
    poster: Poster,
    ledger: Option<Ledger>,
    /// Making a delivery up takes microseconds, so a lock serves better than a task of its own.
    source: Mutex<Traffic>,
    started: Instant,
    /// When the service last answered anything but a 5xx, in milliseconds since `started`.
    last_answer: AtomicU64,
    /// That nothing more is to be sent, and why.
    stop: watch::Sender<Option<(Stop, String)>>,
    on_answer: Box<dyn Fn() + Send + Sync>,
}

async fn connection(run: Arc<Run>) -> Result<Tally, PlayError> {
    let mut tally = Tally::new()?;
    while let Some(delivery) = run.next().await {
        let answer = run.deliver(&delivery).await;
        tally.count(&delivery, &answer);
        if let Some(ledger) = &run.ledger {
            ledger.write(&delivery, answer.status, answer.retried)?;
        }
        (run.on_answer)();
    }
    Ok(tally)
}

impl Run {
    /// The next delivery, once it is due; none when the run is over.
    async fn next(&self) -> Option<Delivery> {
        if self.is_over() {
            return None;
        }
        let delivery = self
            .source
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .next()?;
        let due = self.due(delivery.moment);
        match self.play.end {
            End::Count(count) if delivery.number >= count => return None,
            End::After(time) if due >= self.started + time.min(NEVER) => return None,
            _ => {}
        }
        if due > Instant::now() && self.is_stopped_before(due, Option::is_some).await {
            return None;
        }
        Some(delivery)
    }

    fn is_over(&self) -> bool {
        let is_late = match self.play.end {
            End::After(time) => self.started.elapsed() >= time,
            End::Count(_) => false,
        };
        is_late || self.stop.borrow().is_some()
    }

    #[allow(clippy::cast_precision_loss)] // a number of deliveries, far below 2^52
    fn due(&self, moment: u64) -> Instant {
        if self.play.rate > 0.0 {
            let seconds = moment as f64 / self.play.rate;
            self.started
                + Duration::try_from_secs_f64(seconds)
                    .unwrap_or(NEVER)
                    .min(NEVER)
        } else {
            self.started
        }
    }

    /// Waits until `moment`, unless a stop comes before that is `meant` for who asks.
    async fn is_stopped_before(
        &self,
        moment: Instant,
        meant: impl FnMut(&Option<(Stop, String)>) -> bool,
    ) -> bool {
        let mut stop = self.stop.subscribe();
        tokio::time::timeout_at(moment, stop.wait_for(meant))
            .await
            .is_ok()
    }

    /// The first stop counts, unless a later one is more urgent.
    fn stop_because(&self, how: Stop, reason: &str) {
        self.stop.send_if_modified(|stop| {
            let counts = stop
                .as_ref()
                .is_none_or(|(before, _)| (*before, how) == (Stop::WhenAnswered, Stop::AtOnce));
            if counts {
                *stop = Some((how, reason.to_owned()));
            }
            counts
        });
    }

    /// Posts a delivery until it is answered for good, or patience is at its end.
    async fn deliver(&self, delivery: &Delivery) -> Answer {
        let begun = Instant::now();
        let mut pause = FIRST_PAUSE;
        let mut retried = false;
        loop {
            let answer = self.poster.attempt(delivery, retried).await;
            if answer
                .status
                .is_some_and(|status| !is_to_be_retried(status))
            {
                self.last_answer
                    .store(millis_since(self.started), Ordering::Relaxed);
                return answer;
            }
            if begun.elapsed() + pause > self.play.patience {
                self.stop_if_away_since(begun);
                return answer;
            }
            let pause_ends = Instant::now() + pause;
            let is_at_once = |stop: &_| matches!(stop, Some((Stop::AtOnce, _)));
            if self.is_stopped_before(pause_ends, is_at_once).await {
                return answer;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
            retried = true;
        }
    }

    /// A service that answered nothing for as long as one delivery was tried is away: trying all
    /// the others as long would take for ever.
    fn stop_if_away_since(&self, begun: Instant) {
        let begun = u64::try_from((begun - self.started).as_millis()).unwrap_or(u64::MAX);
        if self.last_answer.load(Ordering::Relaxed) <= begun {
            let patience = self.play.patience.as_secs_f64();
            let reason = format!(
                "nothing was accepted at {} for {patience:.1} s; is the service running there?",
                self.play.url
            );
            self.stop_because(Stop::AtOnce, &reason);
        }
    }
}

fn millis_since(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX)
}
