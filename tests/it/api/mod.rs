//! The management API, asked over HTTP as its clients do.

mod accounts;
mod audit;
mod auth;
mod bad_input;
mod client;
mod conventions;
mod database_away;
mod dead_letters;
mod document;
mod events;
mod filters;
mod jwks;
mod paging;
mod replays;
mod statistics;
mod stream;
mod subscriptions;
mod tenancy;
mod tokens;
