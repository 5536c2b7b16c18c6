//! Puts the service together, and takes it down again.
//!
//! Up: NATS, the journal, the receiver (from then on deliveries are taken),
//! then, when the database answers, everything behind it. Down: no new
//! deliveries, then each actor in the order of an event's way, last NATS.

mod attach;
pub mod durability;
mod instagram;
mod keeper;
mod nats;
mod pipeline;
pub(crate) mod room;

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use metrics_exporter_prometheus::PrometheusHandle;
use ractor::{Actor, ActorRef, SpawnErr};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

pub use self::attach::{AttachError, Attached, attach, attach_running};
pub use self::instagram::{app_graph, graph, vault};
use self::keeper::NatsTokens;
pub(crate) use self::nats::managed_options;
use crate::api::auth::{Authority, KeyError};
use crate::api::rate::Rates;
use crate::api::request::ANSWERED_WITHIN;
use crate::api::{self, Api, HealthState, Means, health_routes};
use crate::config::{Config, NatsMode, Secret};
use crate::handlers::HandlerSettings;
use crate::instagram::signature::AppSecrets;
use crate::instagram::types;
use crate::listen::{self, Bounds};
use crate::publisher;
use crate::receiver::{self, CallbackState, Limits, ReceiverHandle, ReceiverState};
use crate::store::{Store, StoreError, StoreOptions};
use crate::stream::Connection;
use crate::stream::connection::ConnectionError;
use crate::stream::managed::{DataDir, ManagedError};
use crate::stream::topology::{StreamSettings, Topology, TopologyError};
use crate::supervisor::{Board, Child, Supervisor, SupervisorMessage};
use crate::telemetry::metrics::{AcceptMetrics, set_durability};
use crate::telemetry::{metrics, server};
use crate::watch::{adopter, eraser, purger, retention, sampler};

/// How long the nats-server may take to stop: with `server.shutdown_timeout` it
/// is less than the 30 s after which orchestrators kill.
const NATS_STOP_TIMEOUT: Duration = Duration::from_secs(8);
/// Connections to the database for the callbacks of Instagram's, which are rare.
const CALLBACK_CONNECTIONS: u32 = 2;
/// How long a NATS server may take to come up.
const NATS_PATIENCE: Duration = Duration::from_secs(30);

/// A part of the service, so that each can be scaled and restarted by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Role {
    /// Takes deliveries.
    Receiver,
    /// Turns deliveries into events.
    Publisher,
    /// Stores events.
    Handlers,
    /// Answers operators and other services.
    Api,
}

/// Why the service could not start, or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// An address cannot be listened on.
    #[error(
        "server.bind: cannot listen on {address}: {reason}; stop what uses it, or set another address"
    )]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        reason: io::Error,
    },
    /// The metrics' address cannot be listened on.
    #[error(transparent)]
    MetricsBind(#[from] server::BindError),
    /// The metrics cannot be installed.
    #[error(transparent)]
    Metrics(#[from] metrics::InstallError),
    /// The nats-server of the service's own does not start.
    #[error(transparent)]
    Managed(#[from] ManagedError),
    /// NATS cannot be reached.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// A 200 would mean less than is asked for.
    #[error(transparent)]
    TooLittle(#[from] durability::TooLittle),
    /// The streams are not as they must be.
    #[error(transparent)]
    Topology(#[from] TopologyError),
    /// The key of management tokens cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The file of the database cannot be where it is to be.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The supervisor does not start.
    #[error("the supervisor does not start: {0}")]
    Supervisor(#[from] SpawnErr),
    /// Something went wrong that only a person can mend.
    #[error("{0}")]
    Fatal(String),
    /// A listener failed.
    #[error("a listener failed: {0}")]
    Listener(#[from] io::Error),
    /// What was in flight could not be finished in time.
    #[error(
        "what was in flight could not be finished within `server.shutdown_timeout`; it is done again at the next start"
    )]
    Unfinished,
}

/// The service, running.
pub struct Service {
    supervisor: ActorRef<SupervisorMessage>,
    connection: Connection,
    stopping: CancellationToken,
    nats: NatsTokens,
    fatal: mpsc::Receiver<String>,
    listeners: tokio::task::JoinSet<io::Result<()>>,
    config: Config,
    http: SocketAddr,
}

impl Service {
    /// Starts `roles`. Returns when deliveries are taken; the database may still
    /// be away.
    pub async fn start(config: Config, roles: &BTreeSet<Role>) -> Result<Self, ServiceError> {
        let authority = Authority::new(&config.auth)?;
        let recorder = register_metrics()?;
        let http = bind(config.server.bind).await?;
        let scrapes = server::bind(config.metrics.bind).await?;
        let address = http.local_addr()?;

        let board = Board::default();
        let (supervisor, _) = Actor::spawn(None, Supervisor, board.clone()).await?;
        let (fatal_sender, fatal) = mpsc::channel(1);
        let nats = NatsTokens::default();
        let urls = match config.nats.mode {
            NatsMode::External => {
                nats.stopped.cancel();
                None
            }
            NatsMode::Managed => Some(start_nats(&config, &supervisor, &board, &nats).await?),
        };
        let connection =
            Connection::open_within(&nats::connection_options(&config, urls), NATS_PATIENCE)
                .await?;
        let mut topology = Topology::new(stream_settings(&config))?;
        let monitor = durability::ask_monitor(&config).await;
        durability::ensure_durable(&config, &topology, &connection, monitor.as_ref()).await?;
        let monitor = monitor.and_then(Result::ok);
        room::allot(&config, &mut topology, &connection, monitor.as_ref()).await?;
        pipeline::ensure_what_can_be(&topology, &connection).await?;
        set_durability(config.nats.durability());
        tell_lower_limit(&config, &connection);

        let mut service = Self {
            supervisor,
            connection,
            stopping: CancellationToken::new(),
            nats,
            fatal,
            listeners: tokio::task::JoinSet::new(),
            config,
            http: address,
        };
        let sampled = sampler::Sampled::default();
        service.keep(sampler::child(
            &service.connection,
            &topology,
            &board,
            &sampled,
            service.config.stream.warn_percent,
        )?);
        let (topology, store) = (Arc::new(topology), store_options(&service.config));
        let mut routes = service.routes(roles, &board, sampled);
        if roles.contains(&Role::Receiver) {
            let state = service.callback_state(&store).await?;
            routes = routes.merge(receiver::callback_routes(state));
        }
        if roles.contains(&Role::Api) {
            let api = service.api(&store, &topology, authority).await?;
            routes = routes.merge(api::routes(api));
        }
        service.start_pipeline(roles, topology, store, &board, fatal_sender);
        service.listen(http, scrapes, recorder, routes);
        info!(address = %address, metrics = %service.config.metrics.bind, ?roles, "igstream runs");
        Ok(service)
    }

    /// Where webhooks are taken.
    #[must_use]
    pub fn http(&self) -> SocketAddr {
        self.http
    }

    /// Runs until `shutdown`, then finishes what is in flight.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) -> Result<(), ServiceError> {
        let ended = tokio::select! {
            () = shutdown => Ok(()),
            Some(reason) = self.fatal.recv() => Err(ServiceError::Fatal(reason)),
            Some(listener) = self.listeners.join_next() => Err(listener_failed(listener)),
        };
        info!("stopping");
        let timeout = self.config.server.shutdown_timeout;
        let finished = tokio::time::timeout(timeout, self.finish()).await;
        self.stop_nats().await;
        ended.and(finished.map_err(|_| ServiceError::Unfinished))
    }

    fn routes(&self, roles: &BTreeSet<Role>, board: &Board, sampled: sampler::Sampled) -> Router {
        let receives = roles.contains(&Role::Receiver);
        let mut routes = health_routes(HealthState {
            board: board.clone(),
            connection: self.connection.clone(),
            sampled,
            receives,
            durability: self.config.nats.durability(),
        });
        if receives {
            let (child, handle) = receiver::child(&self.connection, board);
            self.keep(child);
            routes = routes.merge(receiver::routes(self.receiver_state(handle)));
        }
        routes
    }

    fn receiver_state(&self, receiver: ReceiverHandle) -> ReceiverState {
        let Config {
            server, instagram, ..
        } = &self.config;
        ReceiverState {
            secrets: app_secrets(&self.config),
            verify_token: instagram
                .verify_token
                .as_ref()
                .map(|token| token.expose().to_owned())
                .unwrap_or_default(),
            body_limit: server.body_limit_bytes,
            accept_timeout: server.accept_timeout,
            limits: Limits::new(
                server.max_waiting_deliveries,
                server.max_waiting_bytes,
                server.body_limit_bytes,
            ),
            receiver,
            connection: self.connection.clone(),
            metrics: AcceptMetrics::new(),
        }
    }

    async fn api(
        &self,
        store: &StoreOptions,
        topology: &Arc<Topology>,
        authority: Authority,
    ) -> Result<Api, StoreError> {
        let settings = &self.config.api;
        let store = StoreOptions {
            max_connections: settings.database_connections,
            ..store.clone()
        };
        Ok(Api::new(Means {
            store: Store::connect_when_asked(&store, ANSWERED_WITHIN).await?,
            connection: self.connection.clone(),
            topology: Arc::clone(topology),
            authority,
            rates: Rates::new(settings),
            keep: self.config.stream.keep(),
            rows_stay_days: self.config.retention.processed_days,
            graph: graph(&self.config),
            vault: vault(&self.config),
            cors_origins: settings.cors_origins.clone(),
            max_streams: (settings.max_streams, settings.max_streams_per_token),
            stopping: self.stopping.clone(),
        }))
    }

    async fn callback_state(&self, store: &StoreOptions) -> Result<CallbackState, StoreError> {
        let store = StoreOptions {
            max_connections: CALLBACK_CONNECTIONS,
            ..store.clone()
        };
        Ok(CallbackState {
            secrets: app_secrets(&self.config),
            public_url: self.config.server.public_url.clone(),
            store: Store::connect_when_asked(&store, ANSWERED_WITHIN).await?,
            keep_days: self.config.stream.keep_days,
        })
    }

    fn start_pipeline(
        &self,
        roles: &BTreeSet<Role>,
        topology: Arc<Topology>,
        store: StoreOptions,
        board: &Board,
        fatal: mpsc::Sender<String>,
    ) {
        self.keep(pipeline::child(pipeline::Plan {
            topology,
            connection: self.connection.clone(),
            supervisor: self.supervisor.clone(),
            board: board.clone(),
            publishes: roles.contains(&Role::Publisher),
            handles: roles.contains(&Role::Handlers),
            store,
            migrate: self.config.database.migrate_on_start,
            keep: self.config.stream.keep(),
            handlers: handler_settings(&self.config),
            retention: retention_settings(&self.config),
            stopping: self.stopping.clone(),
            fatal,
        }));
    }

    fn listen(
        &mut self,
        http: TcpListener,
        scrapes: TcpListener,
        recorder: PrometheusHandle,
        routes: Router,
    ) {
        let stopping = self.stopping.clone();
        let server = &self.config.server;
        let bounds = Bounds {
            connections: listen::connections_within_descriptors(server.max_connections),
            // A delivery that came whole is answered by then.
            finish_within: server.accept_timeout + Duration::from_secs(1),
        };
        self.listeners.spawn(async move {
            listen::serve(http, routes, bounds, stopping.cancelled_owned()).await
        });
        let stopped = self.nats.stop.clone();
        self.listeners
            .spawn(server::serve(scrapes, recorder, stopped.cancelled_owned()));
    }

    fn keep(&self, child: Child) {
        if self
            .supervisor
            .cast(SupervisorMessage::Keep(child))
            .is_err()
        {
            warn!("the supervisor is gone: the service is stopping");
        }
    }

    /// Deliveries that are in flight are answered, then every actor finishes its
    /// batch, in the order of an event's way.
    async fn finish(&mut self) {
        self.stopping.cancel();
        // The first listener to end is the one that takes deliveries.
        self.listeners.join_next().await;
        let handlers = types::with_unknown().map(|event_type| event_type.name);
        let order = vec![
            vec![pipeline::NAME, receiver::NAME],
            vec![
                publisher::NAME,
                adopter::NAME,
                eraser::NAME,
                retention::NAME,
                purger::NAME,
            ],
            handlers.chain([sampler::NAME]).collect(),
        ];
        let drained = self
            .supervisor
            .call(|reply| SupervisorMessage::Drain(order, reply), None)
            .await;
        if let Err(error) = drained {
            warn!(%error, "the actors could not be drained");
        }
        self.connection.close().await;
    }

    /// The server stops by itself when it is told to, whatever the supervisor
    /// still waits for.
    async fn stop_nats(&self) {
        self.nats.stop.cancel();
        if tokio::time::timeout(NATS_STOP_TIMEOUT, self.nats.stopped.cancelled())
            .await
            .is_err()
        {
            warn!("the nats-server did not stop in time; it is killed");
        }
    }
}

fn register_metrics() -> Result<PrometheusHandle, ServiceError> {
    let recorder = metrics::install()?;
    let names: Vec<&'static str> = types::with_unknown()
        .map(|event_type| event_type.name)
        .collect();
    metrics::register(&names);
    Ok(recorder)
}

/// The lower of two limits is the one that counts: whoever raises the other
/// would wait in vain.
fn tell_lower_limit(config: &Config, connection: &Connection) {
    let (limit, largest) = (config.server.body_limit_bytes, connection.largest_body());
    if largest < limit {
        warn!(
            body_limit_bytes = limit,
            largest_body_bytes = largest,
            "bodies are refused from the NATS server's `max_payload` less 64 KiB on, which is lower than `server.body_limit_bytes`"
        );
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, ServiceError> {
    TcpListener::bind(address)
        .await
        .map_err(|reason| ServiceError::Bind { address, reason })
}

async fn start_nats(
    config: &Config,
    supervisor: &ActorRef<SupervisorMessage>,
    board: &Board,
    tokens: &NatsTokens,
) -> Result<String, ServiceError> {
    let options = nats::managed_options(config);
    let data_dir = DataDir::open(&options.data_dir)?;
    let (child, url) = keeper::start(data_dir, options, board, tokens).await?;
    if supervisor.cast(SupervisorMessage::Keep(child)).is_err() {
        return Err(ServiceError::Fatal("the supervisor is gone".to_owned()));
    }
    Ok(url)
}

/// What `stream.*` says.
pub(crate) fn stream_settings(config: &Config) -> StreamSettings {
    StreamSettings {
        replicas: config.stream.replicas,
        keep_days: config.stream.keep_days,
        max_bytes: config.stream.max_bytes,
        duplicate_window: config.stream.duplicate_window(),
    }
}

/// The app secrets, ready to check signatures with.
#[must_use]
pub fn app_secrets(config: &Config) -> AppSecrets {
    AppSecrets::new(config.instagram.app_secrets.iter().map(Secret::expose))
}

/// What `database.*`, `accounts.*` and `privacy.*` say.
#[must_use]
pub fn store_options(config: &Config) -> StoreOptions {
    StoreOptions {
        url: config.database.url.expose().to_owned(),
        max_connections: config.database.max_connections,
        acquire_timeout: config.database.acquire_timeout,
        auto_register: config.accounts.auto_register,
        keep_unsent: config.privacy.keep_unsent,
        sqlite_writer: Arc::default(),
    }
}

fn handler_settings(config: &Config) -> HandlerSettings {
    HandlerSettings {
        max_attempts: config.handlers.max_attempts,
        backoff: config.handlers.backoff.clone(),
        batch_size: config.handlers.batch_size,
        at_once: config.handlers.at_once,
        priority: config.handlers.priority.clone(),
    }
}

fn retention_settings(config: &Config) -> retention::Settings {
    let of = &config.retention;
    retention::Settings {
        days: retention::Days {
            processed: of.processed_days,
            duplicates: of.duplicates_days,
            dead_letters: of.dead_letters_days,
        },
        archive_dir: of.archive_dir.clone(),
    }
}

fn listener_failed(ended: Result<io::Result<()>, tokio::task::JoinError>) -> ServiceError {
    match ended {
        Ok(Ok(())) => ServiceError::Fatal("a listener ended".to_owned()),
        Ok(Err(error)) => ServiceError::Listener(error),
        Err(error) => ServiceError::Fatal(format!("a listener panicked: {error}")),
    }
}
