//! One stream: looked up, made, brought up to date.

use async_nats::jetstream::context::CreateStreamErrorKind;
use async_nats::jetstream::stream::{Config, Info};
use async_nats::jetstream::{self, ErrorCode};
use tracing::{info, warn};

use super::drift;
use super::error::TopologyError;
use crate::stream::room::SMALLEST_STREAM_BYTES;

/// `JetStream`'s code for a stream that is not there.
const STREAM_NOT_FOUND: ErrorCode = ErrorCode::STREAM_NOT_FOUND;
/// `JetStream`'s codes for more than the server or the account can reserve.
const NO_ROOM: [ErrorCode; 3] = [
    ErrorCode::STORAGE_RESOURCES_EXCEEDED,
    ErrorCode::INSUFFICIENT_RESOURCES,
    ErrorCode::ACCOUNT_RESOURCES_EXCEEDED,
];

pub(super) async fn found(
    context: &jetstream::Context,
    stream: &str,
) -> Result<Option<Info>, TopologyError> {
    match context.get_stream(stream).await {
        Ok(found) => Ok(Some(found.cached_info().clone())),
        Err(error) => match error.kind() {
            jetstream::context::GetStreamErrorKind::JetStream(ref reason)
                if reason.error_code() == STREAM_NOT_FOUND =>
            {
                Ok(None)
            }
            _ => Err(TopologyError::Refused {
                what: format!("to tell of the stream {stream}"),
                reason: error.to_string(),
            }),
        },
    }
}

/// Asks for less and less where the server cannot reserve all that is configured.
pub(super) async fn create(
    context: &jetstream::Context,
    mut wanted: Config,
) -> Result<(), TopologyError> {
    loop {
        match context.create_stream(&wanted).await {
            Ok(_) => {
                info!(
                    stream = wanted.name,
                    max_bytes = wanted.max_bytes,
                    "stream made"
                );
                return Ok(());
            }
            Err(error) => {
                if !is_no_room(&error) {
                    return Err(TopologyError::Refused {
                        what: format!("the stream {}", wanted.name),
                        reason: error.to_string(),
                    });
                }
                if wanted.max_bytes / 2 < SMALLEST_STREAM_BYTES {
                    return Err(TopologyError::NoRoom {
                        stream: wanted.name,
                        bytes: wanted.max_bytes,
                        reason: error.to_string(),
                    });
                }
                wanted.max_bytes /= 2;
                warn!(
                    stream = wanted.name,
                    max_bytes = wanted.max_bytes,
                    "the server cannot reserve `stream.max_bytes`: trying with less"
                );
            }
        }
    }
}

pub(super) async fn update(
    context: &jetstream::Context,
    existing: Config,
    wanted: Config,
) -> Result<(), TopologyError> {
    drift::check_unchangeable(&existing, &wanted)?;
    let updated = drift::updated(&existing, wanted);
    if updated == existing {
        return Ok(());
    }
    let Err(error) = context.update_stream(&updated).await else {
        info!(stream = updated.name, "stream brought up to date");
        return Ok(());
    };
    if is_no_room(&error) && updated.max_bytes != existing.max_bytes {
        warn!(
            stream = updated.name,
            max_bytes = existing.max_bytes,
            "the server cannot reserve `stream.max_bytes`: the stream stays as large as it is"
        );
        let wanted = Config {
            max_bytes: existing.max_bytes,
            ..updated
        };
        return Box::pin(update(context, existing, wanted)).await;
    }
    if is_no_room(&error) {
        // A server over its limit takes no change at all, as little as it may be.
        warn!(
            stream = updated.name,
            reason = %error,
            "the server has no room to bring the stream up to date: it stays as it is"
        );
        return Ok(());
    }
    Err(TopologyError::Refused {
        what: format!("to bring the stream {} up to date", updated.name),
        reason: error.to_string(),
    })
}

fn is_no_room(error: &jetstream::context::CreateStreamError) -> bool {
    let kind = error.kind();
    matches!(kind, CreateStreamErrorKind::JetStream(ref reason) if NO_ROOM.contains(&reason.error_code()))
}
