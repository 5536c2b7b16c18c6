//! igstream takes in Instagram's webhook traffic and loses none of it.
//!
//! The modules in the order of an event's way:
//!
//! | module | its one job |
//! |---|---|
//! | [`receiver`] | HTTP and the actor that makes deliveries durable |
//! | [`listen`] | HTTP connections: their bound, and an end to each wait |
//! | [`journal`] | the packed message of deliveries; pure |
//! | [`publisher`] | the journal becomes one message an event |
//! | [`instagram`] | what a delivery means; pure |
//! | [`handlers`] | an actor a type: fetch, store, tell, acknowledge |
//! | [`store`] | a batch of events becomes rows |
//! | [`stream`] | `JetStream`: connection, topology, what goes out and comes in |
//! | [`supervisor`] | who runs, who failed, when it is tried again |
//! | [`watch`] | what is sampled each second: depths, ages, sizes |
//! | [`telemetry`] | names of metrics, their listener, the log |
//! | [`replay`] | stored events are processed again, from the log or the journal |
//! | [`service`] | puts it all together, and takes it down again |
//! | [`api`] | what operators ask over HTTP |
//! | [`audit`] | the ledger: what was received against what is stored |
//! | [`check`] | whether the service could start |
//! | [`cli`] | a file a command |
//! | [`config`] | layers, and errors that name key and origin |
//! | [`secret`] | a text that is never printed |
//! | [`connect`] | whose an access token is |
//! | [`vault`] | access tokens at rest, encrypted |
//! | [`graph`] | Instagram's Graph API, called |
//! | [`lab`] | Instagram, played |

pub mod api;
pub mod audit;
pub mod check;
pub mod cli;
pub mod config;
pub mod connect;
#[cfg(debug_assertions)]
mod fault;
pub mod graph;
pub mod handlers;
pub mod instagram;
pub mod journal;
pub mod lab;
pub mod listen;
pub mod publisher;
pub mod receiver;
pub mod replay;
pub mod secret;
pub mod service;
pub mod store;
pub mod stream;
pub mod supervisor;
pub mod telemetry;
pub mod vault;
pub mod watch;
