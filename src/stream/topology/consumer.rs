//! What a consumer is called, and how far it has got.

use async_nats::jetstream::consumer::pull;
use async_nats::jetstream::stream::{ConsumerError, ConsumerErrorKind};
use async_nats::jetstream::{self, ErrorCode};

/// What a consumer is called, and what it takes.
#[derive(Debug, Clone)]
pub struct ConsumerNames {
    /// Its stream.
    pub stream: String,
    /// Its durable name.
    pub name: String,
    /// The subjects it takes.
    pub filter: String,
}

impl ConsumerNames {
    /// How far the consumer has got; `None` where it is not there, or its stream is not.
    pub async fn info(
        &self,
        context: &jetstream::Context,
    ) -> Result<Option<jetstream::consumer::Info>, ConsumerError> {
        const NOT_THERE: [ErrorCode; 2] =
            [ErrorCode::CONSUMER_NOT_FOUND, ErrorCode::STREAM_NOT_FOUND];
        let found =
            context.get_consumer_from_stream::<pull::Config, _, _>(&self.name, &self.stream);
        match found.await {
            Ok(found) => Ok(Some(found.cached_info().clone())),
            Err(error) => match error.kind() {
                ConsumerErrorKind::JetStream(reason)
                    if NOT_THERE.contains(&reason.error_code()) =>
                {
                    Ok(None)
                }
                _ => Err(error),
            },
        }
    }
}
