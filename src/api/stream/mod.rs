//! `GET /webhooks/stream/{accountId}`: the events of an account as they are stored (server-sent events).
//!
//! Source: WHATWG HTML, "Server-sent events".

mod feed;
mod readers;

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::sse::{Event, KeepAlive};
use axum::response::{IntoResponse, Response, Sse};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tracing::{Instrument as _, warn};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use self::feed::Feed;
pub use self::readers::Readers;
use super::Api;
use super::auth::{Account, Read};
use super::extract::Query;
use super::problem::{Place as Where, Problem, Result};
use super::values::EventType;
use crate::stream::names::{Announcement, STORED};
use crate::stream::place::{Kept, Missed, Place};
use crate::stream::tail::{Portion, Start, Tail};

/// How long a client is to wait before it connects again.
const RETRY: Duration = Duration::from_secs(3);
/// How long there may be silence.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How long NATS may take until the stream begins.
const BEGUN_WITHIN: Duration = Duration::from_secs(10);
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(follow))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Filter {
    /// Only of this type
    #[param(inline, nullable = false)]
    r#type: Option<EventType>,
}

/// An event as the stream tells it: the message of `INSTAGRAM_STORED`. The `data` of an event whose name is its type
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "it says what other programs find")]
pub(super) struct StoredEvent {
    /// The item that was received
    receipt_id: Uuid,
    /// What happened: the same again when Instagram tells it again
    event_id: String,
    /// One of the nine types, or `unknown`
    event_type: String,
    /// The account's id with Instagram
    ig_account_id: String,
    /// What it is about
    #[schema(required)]
    object_type: Option<String>,
    /// The id of that
    #[schema(required)]
    object_id: Option<String>,
    /// Who caused it
    #[schema(required)]
    sender_ig_id: Option<String>,
    /// The name of who caused it
    #[schema(required)]
    sender_username: Option<String>,
    /// Whom it is for
    #[schema(required)]
    recipient_ig_id: Option<String>,
    /// When it happened, as Instagram says
    occurred_at: DateTime<Utc>,
    /// When its delivery arrived
    received_at: DateTime<Utc>,
    /// The delivery it came in
    delivery_id: Uuid,
    /// Its typed row, by the names of the columns
    data: serde_json::Value,
    /// The item as Instagram sent it
    #[schema(required = false)]
    raw: serde_json::Value,
    /// `true` where `raw` is missing, since the message would have been too large with it
    #[schema(required = false)]
    raw_omitted: bool,
    /// The account
    account_id: Uuid,
    /// The rows it left
    rows: Vec<StoredRow>,
}

/// A row that an event left
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "it says what other programs find")]
pub(super) struct StoredRow {
    /// Its table
    table: String,
    /// Its key within the account
    id: String,
}

/// Events may be missing in the stream before this point. The `data` of an event `gap`
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StreamGap {
    /// `expired`: what came after the client's last event is not kept any more; `made_anew`: the stream is another one
    /// than the one it had; `lost`: NATS has lost the end of what it had
    reason: &'static str,
    /// What may be missing was stored until then: it is in the list of events
    until: DateTime<Utc>,
    /// How to get it
    detail: String,
}

/// The events of an account as they are stored, as server-sent events
///
/// Each event is named by its type; its `data` is a `StoredEvent`. The client sends the `id` that it had last as
/// `Last-Event-ID`, and gets what came after it; without it, what is stored from now on. An `id` without `data` only
/// says how far the client is. An event `gap` (`StreamGap`) says that something may be missing. The stream ends when
/// the token does.
#[utoipa::path(
    get,
    path = "/webhooks/stream/{accountId}",
    tag = "events",
    operation_id = "streamEvents",
    params(
        ("accountId" = Uuid, Path, description = "The account"),
        Filter,
        ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event that the client had", pattern = "^[0-9a-f]{1,16}-[0-9]{1,19}$", nullable = false),
    ),
    responses((status = 200, description = "Events, until either side ends it", body = String, content_type = "text/event-stream")),
)]
async fn follow(
    account: Account<Read>,
    State(api): State<Api>,
    Query(filter): Query<Filter>,
    LastEventId(last): LastEventId,
) -> Result<Response> {
    let caller = &account.caller;
    let (good_for, account) = (caller.good_for(), &account.row);
    let seat = api.readers().seat(caller.token())?;
    let of_type = filter.r#type.map(|EventType(of)| of.name);
    let ig_account_id = Some(account.instagram_business_account_id.as_str());
    let subject = Announcement::Stored.filter(of_type, ig_account_id);
    let begun = timeout(BEGUN_WITHIN, begin(&api, subject, last)).await;
    let (first, tail) = begun.unwrap_or_else(|elapsed| Err(away(&elapsed)))?;
    let (client, events) = mpsc::channel(1);
    // There is room for one.
    let _ = client.try_send(first);
    let feed = Feed {
        account: account.id,
        api,
        tail,
        good_for,
        client,
        seat,
    };
    tokio::spawn(feed.run().in_current_span());
    Ok(answer(events))
}

/// The consumer, and the first event: where it begins.
async fn begin(api: &Api, subject: String, last: Option<Place>) -> Result<(Event, Tail)> {
    let kept = Kept::of(&api.connection().consume, STORED).await;
    let kept = kept.map_err(|error| away(&error))?;
    let (place, missed) = last.map_or((kept.end(), None), |last| kept.after(last));
    let start = Start::After(place);
    let tail = Tail::start(
        api.connection(),
        STORED,
        vec![subject],
        start,
        Portion::SMALL,
    )
    .await;
    let tail = tail.map_err(|error| away(&error))?;
    let first = Event::default().retry(RETRY).id(place.to_string());
    let Some(missed) = missed else {
        return Ok((first, tail));
    };
    let gap = gap(missed, &kept);
    let gap = serde_json::to_string(&gap).unwrap_or_default();
    Ok((first.event("gap").data(gap), tail))
}

fn away(error: &dyn std::fmt::Display) -> Problem {
    warn!(%error, "a stream of events could not begin");
    Problem::unavailable("NATS does not answer as it must; ask again later")
}

fn gap(missed: Missed, kept: &Kept) -> StreamGap {
    let (reason, since) = match missed {
        Missed::Expired => ("expired", kept.since),
        Missed::MadeAnew => ("made_anew", kept.since),
        Missed::Lost => ("lost", None),
    };
    StreamGap {
        reason,
        until: since.unwrap_or_else(Utc::now),
        detail: "events may be missing: list those that were written to the log (from, to) between your last event and `until`; the stream goes on after it".to_owned(),
    }
}

fn answer(events: mpsc::Receiver<Event>) -> Response {
    let events = futures::stream::unfold(events, async |mut events| {
        let event = events.recv().await?;
        Some((Ok::<_, Infallible>(event), events))
    });
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    let mut response = Sse::new(events).keep_alive(keep_alive).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // nginx would gather what it is to pass on.
    headers.insert(
        HeaderName::from_static("x-accel-buffering"),
        HeaderValue::from_static("no"),
    );
    response
}

/// `Last-Event-ID`, which a client sends that connects again.
struct LastEventId(Option<Place>);

impl<S: Sync> FromRequestParts<S> for LastEventId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        let mut values = parts.headers.get_all(LAST_EVENT_ID).iter();
        let Some(value) = values.next() else {
            return Ok(Self(None));
        };
        let text = value.to_str().ok().filter(|_| values.next().is_none());
        let place = text.and_then(|text| text.parse().ok());
        place.map(|place| Self(Some(place))).ok_or_else(|| {
            Problem::field(
                Where::Header,
                "Last-Event-ID",
                "it must be the id of an event of this stream, once; leave it out to begin with what comes next",
            )
        })
    }
}
