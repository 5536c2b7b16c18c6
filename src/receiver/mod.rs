//! Takes in what Instagram posts: HTTP, then the actor that makes it durable. And the callbacks that Meta
//! requires of every app.

mod actor;
mod callbacks;
mod deletion;
mod http;
mod limits;

pub use actor::{FRAME_BYTES, NAME, NotAccepted, ReceiverHandle, child};
pub use callbacks::{CallbackState, DATA_DELETION, DEAUTHORIZE, callback_routes};
pub use http::{PATH, ReceiverState, routes};
pub use limits::{Limits, Permit};
