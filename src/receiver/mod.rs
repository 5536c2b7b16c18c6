//! Takes in what Instagram posts: HTTP, then the actor that makes it durable.

mod actor;
mod http;
mod limits;

pub use actor::{FRAME_BYTES, NAME, NotAccepted, ReceiverHandle, child};
pub use http::{PATH, ReceiverState, routes};
pub use limits::{Limits, Permit};
