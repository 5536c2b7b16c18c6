//! Instagram's Graph API, as far as igstream calls it: what an account and what the app are subscribed to, and
//! whose an access token is.
//!
//! A token travels in the header `Authorization`, never in a URL, and is cut out of whatever comes back. A call that
//! meets a rate limit or an error that passes is tried again with growing pauses (`pauses`); an error says what was
//! asked, what Meta says of it, and the mend (`error`). Sources: Meta, "Handle Errors", "Rate Limits", "Instagram
//! Platform: Webhooks" and "App Subscriptions".

mod accounts;
mod app;
mod client;
mod error;
mod pauses;
mod refusal;

pub use accounts::{Profile, is_field};
pub use app::{AppSubscription, Subscribed};
pub use client::{GraphClient, GraphOptions};
pub use error::GraphError;
pub use refusal::{Kind, Refusal};
