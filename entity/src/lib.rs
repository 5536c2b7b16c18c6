//! igstream's tables as `SeaORM` entities, one a module: plain data.
//!
//! The column types are true to the schema (lengths included): what writes in bulk builds its
//! statements from them.

pub mod client_account;
pub mod columns;
pub mod comment;
pub mod conversation;
pub mod erased_account;
pub mod mention;
pub mod message;
pub mod message_reaction;
pub mod messaging_postback;
pub mod messaging_seen;
pub mod story_insight;
pub mod timestamp;
pub mod token;
pub mod webhook_event;
pub mod webhook_subscription;

pub use token::EncryptedToken;
