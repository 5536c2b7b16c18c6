//! The receiver actor: packs all deliveries that wait into one message of the
//! journal, and answers them when it is acknowledged.
//!
//! One message is under way at a time and nothing lingers: a lone delivery goes
//! at once, and what comes meanwhile goes together in the next. One synced write
//! so answers many.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;
use tracing::{debug, warn};
use uuid::Uuid;

use super::limits::Permit;
use crate::instagram::Verified;
use crate::journal;
use crate::stream::Connection;
use crate::stream::bulk::{PublishError, publish_one};
use crate::stream::message::{Headers, Outgoing};
use crate::stream::names::DELIVERIES_SUBJECT;
use crate::supervisor::{Board, Child};

/// The actor's name.
pub const NAME: &str = "receiver";

/// What one message of the journal holds at most, unless it is one larger
/// delivery.
const FRAME_DELIVERIES: usize = 1000;
/// The same in bytes.
pub const FRAME_BYTES: usize = 256 * 1024;
/// How often deliveries that could not be made durable are worth a line.
const WARN_EVERY: Duration = Duration::from_secs(5);
/// How often a journal that did not acknowledge is asked whether it answers again.
const ASK_EVERY: Duration = Duration::from_secs(1);
const PAUSE_BEFORE_RESEND: Duration = Duration::from_millis(100);

/// Why a delivery was not made durable. Instagram delivers again.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NotAccepted {
    /// The receiver is being started again.
    #[error("the receiver is not running")]
    NotRunning,
    /// Not in time.
    #[error("the delivery could not be made durable in time")]
    TooLate,
    /// The journal is away, or refuses.
    #[error("the delivery could not be made durable: {0}")]
    Refused(String),
    /// The journal is full.
    #[error("the delivery could not be made durable: {0}")]
    Full(String),
}

type Answer = oneshot::Sender<Result<(), NotAccepted>>;

/// A delivery on its way into the journal. Its permit goes when it is answered.
pub struct Waiting {
    delivery: Verified,
    deadline: Instant,
    answer: Answer,
    _permit: Permit,
}

/// What the receiver is told.
pub enum ReceiverMessage {
    /// A delivery to be made durable.
    Accept(Waiting),
    /// The message under way is acknowledged, or given up for this reason.
    Settled(Result<(), NotAccepted>),
    /// It is time to ask whether the journal answers again, or it was asked and does not.
    Ask,
    /// The journal answers again.
    Answers,
}

/// Reaches the receiver, whichever incarnation of it runs.
#[derive(Clone)]
pub struct ReceiverHandle(watch::Receiver<Option<ActorRef<ReceiverMessage>>>);

impl ReceiverHandle {
    /// Returns when `delivery` is durable, at the latest at `deadline`.
    pub async fn accept(
        &self,
        delivery: Verified,
        permit: Permit,
        deadline: Instant,
    ) -> Result<(), NotAccepted> {
        let (answer, answered) = oneshot::channel();
        let receiver = self.0.borrow().clone().ok_or(NotAccepted::NotRunning)?;
        let waiting = Waiting {
            delivery,
            deadline,
            answer,
            _permit: permit,
        };
        receiver
            .cast(ReceiverMessage::Accept(waiting))
            .map_err(|_| NotAccepted::NotRunning)?;
        match tokio::time::timeout_at(deadline, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(NotAccepted::NotRunning),
            Err(_) => Err(NotAccepted::TooLate),
        }
    }
}

/// The receiver as a supervised child, and the handle that reaches it.
#[must_use]
pub fn child(connection: &Connection, board: &Board) -> (Child, ReceiverHandle) {
    let (incarnation, handle) = watch::channel(None);
    let (connection, board) = (connection.clone(), board.clone());
    let child = Child::new(NAME, move |supervisor| {
        let arguments = (connection.clone(), board.clone());
        let incarnation = incarnation.clone();
        async move {
            let (actor, _) = Actor::spawn_linked(None, Receiver, arguments, supervisor).await?;
            incarnation.send_replace(Some(actor.clone()));
            Ok(actor.get_cell())
        }
    });
    (child, ReceiverHandle(handle))
}

struct Receiver;

struct Queue {
    connection: Connection,
    /// Where a journal that does not acknowledge is shown: `/readyz` is 503 then.
    board: Board,
    waiting: VecDeque<Waiting>,
    under_way: bool,
    asking: bool,
    last_warned: Option<Instant>,
}

impl Actor for Receiver {
    type Msg = ReceiverMessage;
    type State = Queue;
    type Arguments = (Connection, Board);

    async fn pre_start(
        &self,
        _: ActorRef<Self::Msg>,
        (connection, board): Self::Arguments,
    ) -> Result<Queue, ActorProcessingErr> {
        Ok(Queue {
            connection,
            board,
            waiting: VecDeque::new(),
            under_way: false,
            asking: false,
            last_warned: None,
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        message: Self::Msg,
        queue: &mut Queue,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            ReceiverMessage::Accept(waiting) => queue.waiting.push_back(waiting),
            ReceiverMessage::Settled(published) => queue.settled(published, &myself),
            ReceiverMessage::Ask => queue.ask(&myself),
            ReceiverMessage::Answers => queue.answers(),
        }
        if !queue.under_way {
            queue.send_next(&myself)?;
        }
        Ok(())
    }
}

impl Queue {
    /// Warns now and then, not a message: what is refused comes again and again.
    fn settled(&mut self, published: Result<(), NotAccepted>, myself: &ActorRef<ReceiverMessage>) {
        self.under_way = false;
        let Err(error) = published else {
            return self.answers();
        };
        // A full journal answers; the sampler shows that it is full.
        if !matches!(error, NotAccepted::Full(_)) {
            self.board.paused(NAME, &error.to_string());
            if !self.asking {
                self.asking = true;
                myself.send_after(ASK_EVERY, || ReceiverMessage::Ask);
            }
        }
        let is_due = self
            .last_warned
            .is_none_or(|last| last.elapsed() > WARN_EVERY);
        if is_due {
            warn!(%error, waiting = self.waiting.len(), "deliveries are answered 503");
            self.last_warned = Some(Instant::now());
        }
    }

    /// Asks the journal: while `/readyz` says no, nobody may deliver, and no
    /// delivery would find out that it answers again.
    fn ask(&mut self, myself: &ActorRef<ReceiverMessage>) {
        if !self.asking {
            return;
        }
        let (connection, myself) = (self.connection.clone(), myself.clone());
        tokio::spawn(async move {
            // Refused by a receiver that is gone: the next one starts well.
            if takes_messages(&connection).await {
                let _ = myself.cast(ReceiverMessage::Answers);
            } else {
                myself.send_after(ASK_EVERY, || ReceiverMessage::Ask);
            }
        });
    }

    fn answers(&mut self) {
        self.asking = false;
        self.board.running(NAME);
    }

    fn send_next(&mut self, myself: &ActorRef<ReceiverMessage>) -> Result<(), ActorProcessingErr> {
        let frame = next_frame(&mut self.waiting);
        let Some(last) = frame.iter().map(|waiting| waiting.deadline).max() else {
            return Ok(());
        };
        let message = pack(&frame)?;
        let (connection, myself) = (self.connection.clone(), myself.clone());
        self.under_way = true;
        tokio::spawn(async move {
            // A panic must leave no message under way for ever.
            let published = AssertUnwindSafe(publish(&connection, &message, last)).catch_unwind();
            let published = published.await.unwrap_or(Err(NotAccepted::NotRunning));
            debug!(
                deliveries = frame.len(),
                bytes = message.body.len(),
                durable = published.is_ok(),
                "deliveries received"
            );
            for waiting in frame {
                // Whoever does not wait any more has answered 503 already.
                let _ = waiting.answer.send(published.clone());
            }
            // Refused by a receiver that is gone: there is nobody to go on.
            let _ = myself.cast(ReceiverMessage::Settled(published));
        });
        Ok(())
    }
}

/// The longest waiting deliveries that fit one message; those that nobody waits
/// for any more have been answered 503 and will be delivered again.
fn next_frame(waiting: &mut VecDeque<Waiting>) -> Vec<Waiting> {
    let mut frame = Vec::new();
    let mut bytes = 0;
    while let Some(next) = waiting.front() {
        let weight = journal::weight(next.delivery.delivery());
        if !frame.is_empty() && (frame.len() == FRAME_DELIVERIES || bytes + weight > FRAME_BYTES) {
            break;
        }
        let Some(next) = waiting.pop_front() else {
            break;
        };
        if next.answer.is_closed() {
            continue;
        }
        bytes += weight;
        frame.push(next);
    }
    frame
}

/// Whether the journal takes messages, by a message without any delivery: a server whose disk was full still tells
/// of its streams, and stores nothing. One that is full answers, and is shown as full.
async fn takes_messages(connection: &Connection) -> bool {
    let Ok(empty) = pack(&[]) else {
        return false;
    };
    let published = publish_one(connection, &empty).await;
    matches!(published, Ok(()) | Err(PublishError::Full(_)))
}

/// A fresh id a message: one that is sent again is recognised, and no later
/// message is ever taken for it.
fn pack(frame: &[Waiting]) -> Result<Outgoing, journal::JournalError> {
    let body: Bytes = journal::pack(frame.iter().map(|waiting| waiting.delivery.delivery()))?;
    Ok(Outgoing {
        subject: DELIVERIES_SUBJECT.to_owned(),
        headers: Headers::of_message(Uuid::now_v7().to_string()),
        body,
    })
}

/// Sends the same message until it is acknowledged or nobody waits any more.
async fn publish(
    connection: &Connection,
    message: &Outgoing,
    deadline: Instant,
) -> Result<(), NotAccepted> {
    loop {
        let error = match tokio::time::timeout_at(deadline, publish_one(connection, message)).await
        {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error @ PublishError::Full(_))) => {
                return Err(NotAccepted::Full(error.to_string()));
            }
            Ok(Err(error)) => NotAccepted::Refused(error.to_string()),
            Err(_) => return Err(NotAccepted::TooLate),
        };
        if Instant::now() + PAUSE_BEFORE_RESEND >= deadline {
            return Err(error);
        }
        tokio::time::sleep(PAUSE_BEFORE_RESEND).await;
    }
}
