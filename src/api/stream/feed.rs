//! What writes one stream: reads on in NATS while the client takes what it has.

use std::time::Duration;

use async_nats::jetstream::Message;
use axum::response::sse::Event;
use entity::client_account;
use sea_orm::EntityTrait as _;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, warn};
use uuid::Uuid;

use super::readers::Seat;
use crate::api::Api;
use crate::stream::tail::Tail;

/// How often it is looked whether all was told, and whether the account is still there.
const LOOK_EVERY: Duration = Duration::from_secs(15);
/// How long the database may take to tell of an account; without an answer the stream goes on.
const ACCOUNT_WITHIN: Duration = Duration::from_secs(2);
/// How long a client may take nothing of what waits for it.
const STALLED_FOR: Duration = Duration::from_mins(1);

/// One stream.
pub(super) struct Feed {
    pub(super) api: Api,
    pub(super) tail: Tail,
    /// Whose events.
    pub(super) account: Uuid,
    /// How long the token is good.
    pub(super) good_for: Duration,
    /// Takes one at a time: a client that is slow is waited for here, and all else stays in NATS.
    pub(super) client: mpsc::Sender<Event>,
    pub(super) seat: Seat,
}

/// Why a stream ends.
#[derive(Debug, Clone, Copy)]
enum End {
    ClientGone,
    ClientStalled,
    TokenExpired,
    Stopping,
    AccountGone,
    /// The next connection is told so.
    MayHaveMissed,
}

impl Feed {
    /// Writes until there is a reason to end.
    pub(super) async fn run(mut self) {
        let (client, api) = (self.client.clone(), self.api.clone());
        let good_for = self.good_for;
        let end = tokio::select! {
            end = self.write() => end,
            () = client.closed() => End::ClientGone,
            () = api.stopping().cancelled() => End::Stopping,
            () = sleep(good_for) => End::TokenExpired,
        };
        debug!(?end, "a stream of events ended");
        // The client first: a stop waits for its answer.
        let Self {
            tail,
            client: last,
            seat,
            ..
        } = self;
        drop((client, last, seat));
        tail.close().await;
    }

    async fn write(&mut self) -> End {
        let mut look_at = Instant::now() + LOOK_EVERY;
        loop {
            let came = self.tail.turn().await;
            if self.tail.may_have_missed() {
                return End::MayHaveMissed;
            }
            match came {
                Ok(messages) => {
                    for message in messages {
                        if let Some(event) = self.event(&message)
                            && let Err(end) = self.send(event).await
                        {
                            return end;
                        }
                    }
                }
                Err(error) => debug!(%error, "trying again"),
            }
            if Instant::now() >= look_at {
                if let Err(end) = self.look().await {
                    return end;
                }
                look_at = Instant::now() + LOOK_EVERY;
            }
        }
    }

    /// Tells the client how far it is where nothing comes: so it goes on from there, however long it was quiet.
    async fn look(&mut self) -> Result<(), End> {
        if !self.account_is_there().await {
            return Err(End::AccountGone);
        }
        let place = self.tail.look().await;
        if self.tail.may_have_missed() {
            return Err(End::MayHaveMissed);
        }
        match place {
            Some(place) => self.send(Event::default().id(place.to_string())).await,
            None => Ok(()),
        }
    }

    async fn account_is_there(&self) -> bool {
        let found = client_account::Entity::find_by_id(self.account);
        let found = timeout(ACCOUNT_WITHIN, found.one(self.api.store().database())).await;
        !matches!(found, Ok(Ok(None)))
    }

    async fn send(&self, event: Event) -> Result<(), End> {
        match timeout(STALLED_FOR, self.client.send(event)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::ClientGone),
            Err(_) => Err(End::ClientStalled),
        }
    }

    /// `None` where it is not of this account: of one before it with the same id at Instagram, or nothing of ours.
    fn event(&self, message: &Message) -> Option<Event> {
        let told = read(message).inspect_err(|error| {
            warn!(%error, subject = %message.subject, "a message is no event: a stream does not tell it");
        });
        let (sequence, told) = told.ok()?;
        if told.account_id != self.account {
            return None;
        }
        // A line break in JSON's grammar is a blank, and in its texts there is none; in a name it would be refused.
        let on_a_line = |text: &str| text.replace(['\n', '\r'], " ");
        let event = Event::default()
            .id(self.tail.place(sequence).to_string())
            .event(on_a_line(&told.event_type))
            .data(on_a_line(&String::from_utf8_lossy(&message.payload)));
        Some(event)
    }
}

/// What of a message decides what becomes of it. Its type is not looked up: another version may know more of them.
#[derive(Deserialize)]
struct Told {
    account_id: Uuid,
    event_type: String,
}

fn read(message: &Message) -> Result<(u64, Told), async_nats::Error> {
    let sequence = message.info()?.stream_sequence;
    Ok((sequence, serde_json::from_slice(&message.payload)?))
}
