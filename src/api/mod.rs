//! What operators and other services ask over HTTP: `/healthz`, `/readyz`, and the management API under
//! `/api/instagram`.
//!
//! A group of endpoints is one file with a `routes()`, and one line in `quick` or `slow`. A handler takes a
//! [`auth::Caller`] or an [`auth::Account`], which say what the token must allow; answers [`problem::Result`]; and reads
//! what it is asked with [`extract`]. The document, the problems that any request can meet, request ids and rates
//! come by themselves.

mod accounts;
mod audit;
pub mod auth;
mod cors;
mod dead_letters;
pub mod etag;
mod events;
pub mod extract;
mod health;
pub mod openapi;
pub mod page;
pub mod problem;
pub mod rate;
mod replays;
pub mod request;
mod statistics;
mod stream;
mod subscriptions;
pub mod values;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::any;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use self::auth::Authority;
use self::problem::{Kind, Problem};
use self::rate::Rates;
use self::replays::Replays;
use self::stream::Readers;
use crate::graph::GraphClient;
use crate::store::Store;
use crate::stream::Connection;
use crate::stream::topology::Topology;
use crate::vault::Vault;

pub use health::{HealthState, routes as health_routes};

/// Where the management API is.
pub const BASE: &str = "/api/instagram";

/// What the handlers work with.
#[derive(Clone)]
pub struct Api(Arc<Means>, Arc<Work>);

/// What goes on in this process at their word.
#[derive(Debug)]
struct Work {
    replays: Arc<Replays>,
    readers: Arc<Readers>,
    /// A ledger is drawn up by whoever has the one permit.
    audits: Semaphore,
}

/// What the management API is made of.
pub struct Means {
    /// The database, by connections of its own: a slow list never takes one from the handlers.
    pub store: Store,
    /// The connection to NATS.
    pub connection: Connection,
    /// What the streams are to be like.
    pub topology: Arc<Topology>,
    /// Who may issue tokens.
    pub authority: Authority,
    /// How many requests a token may make.
    pub rates: Rates,
    /// How long messages are kept (`stream.keep_days`).
    pub keep: Duration,
    /// How many days processed rows stay (`retention.processed_days`); 0 is for ever.
    pub rows_stay_days: u32,
    /// Instagram's Graph API.
    pub graph: GraphClient,
    /// What access tokens are encrypted with.
    pub vault: Vault,
    /// Origins whose pages may call.
    pub cors_origins: Vec<String>,
    /// How many streams of events there may be at once, in all and of one token.
    pub max_streams: (usize, usize),
    /// When what would not end by itself has to.
    pub stopping: CancellationToken,
}

impl Api {
    /// Of these means.
    #[must_use]
    pub fn new(means: Means) -> Self {
        let work = Work {
            replays: Arc::default(),
            readers: Arc::new(Readers::new(means.max_streams)),
            audits: Semaphore::new(1),
        };
        Self(Arc::new(means), Arc::new(work))
    }

    /// The database.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// The connection to NATS.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        &self.0.connection
    }

    /// What the streams are to be like.
    #[must_use]
    pub fn topology(&self) -> &Topology {
        &self.0.topology
    }

    /// How long messages are kept.
    #[must_use]
    pub fn keep(&self) -> Duration {
        self.0.keep
    }

    fn rows_stay_days(&self) -> u32 {
        self.0.rows_stay_days
    }

    /// Instagram's Graph API.
    #[must_use]
    pub fn graph(&self) -> &GraphClient {
        &self.0.graph
    }

    /// What access tokens are encrypted with.
    #[must_use]
    pub fn vault(&self) -> &Vault {
        &self.0.vault
    }

    fn authority(&self) -> &Authority {
        &self.0.authority
    }

    fn rates(&self) -> &Rates {
        &self.0.rates
    }

    fn replays(&self) -> &Arc<Replays> {
        &self.1.replays
    }

    fn readers(&self) -> &Arc<Readers> {
        &self.1.readers
    }

    fn stopping(&self) -> &CancellationToken {
        &self.0.stopping
    }

    fn audits(&self) -> &Semaphore {
        &self.1.audits
    }
}

/// Groups of endpoints that are answered at once.
fn quick() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .merge(events::routes())
        .merge(statistics::routes())
        .merge(dead_letters::routes())
        .merge(replays::routes())
        .merge(accounts::routes())
        .merge(subscriptions::routes())
}

/// Groups whose answers take as long as they take.
fn slow() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .merge(audit::routes())
        .merge(stream::routes())
        .merge(dead_letters::slow_routes())
        .merge(accounts::slow_routes())
        .merge(subscriptions::slow_routes())
}

fn endpoints() -> OpenApiRouter<Api> {
    let groups = quick().layer(from_fn(request::end)).merge(slow());
    let mut all =
        OpenApiRouter::with_openapi(openapi::base()).nest(BASE, groups.fallback(not_found));
    openapi::complete(all.get_openapi_mut());
    all
}

/// The OpenAPI document.
#[must_use]
pub fn document() -> OpenApi {
    endpoints().into_openapi()
}

/// The routes.
pub fn routes(api: Api) -> Router {
    let cors = cors::layer(&api.0.cors_origins);
    let (endpoints, document) = endpoints().split_for_parts();
    let mut routes = endpoints
        .method_not_allowed_fallback(method_not_allowed)
        .route_layer(from_fn_with_state(api.clone(), auth::authenticate))
        .layer(DefaultBodyLimit::max(extract::BODY_LIMIT))
        .merge(openapi::routes(&document))
        // Nothing of the nested routes', nor of what they fall back to.
        .route(&format!("{BASE}/"), any(not_found));
    if let Some(cors) = cors {
        routes = routes.layer(cors);
    }
    routes.layer(from_fn(request::attend)).with_state(api)
}

async fn not_found() -> Problem {
    Problem::new(
        Kind::NotFound,
        format!(
            "there is nothing here; {} shows what there is",
            openapi::PAGE
        ),
    )
}

async fn method_not_allowed() -> Problem {
    Problem::new(
        Kind::MethodNotAllowed,
        "the method is not allowed here; Allow says which are",
    )
}
