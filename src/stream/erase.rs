//! Messages of erased accounts are deleted from the streams that have one message an event.

use async_nats::jetstream::context::{GetStreamError, GetStreamErrorKind};
use async_nats::jetstream::stream::LastRawMessageErrorKind;
use async_nats::jetstream::{self, ErrorCode, consumer, stream};
use futures::{StreamExt, TryStreamExt};
use uuid::Uuid;

use super::names::MESSAGE_ID;
use super::pages::{self, End, Pages, Stretch, sequence_of};
use super::topology::ConsumerNames;

/// What is looked at at once: headers alone.
const PAGE: usize = 1000;
const PAGE_BYTES: usize = 4 * 1024 * 1024;
/// Single deletions under way at once.
const WINDOW: usize = 16;

/// Why messages could not be deleted, or not be looked for.
#[derive(Debug, thiserror::Error)]
#[error("the messages of {subject} in {stream} cannot be deleted: {reason}")]
pub struct EraseError {
    stream: String,
    subject: String,
    reason: String,
}

/// Messages of one subject of one stream.
#[derive(Debug, Clone)]
pub struct Messages {
    /// The stream.
    pub stream: &'static str,
    /// The subject, without wildcards.
    pub subject: String,
    /// How many there are.
    pub count: u64,
}

/// The receipt of a message by its `Nats-Msg-Id`, whatever it announces.
#[must_use]
pub fn receipt_of(message_id: &str) -> Option<Uuid> {
    message_id
        .split(':')
        .find_map(|part| Uuid::try_parse(part).ok())
}

/// The subjects in `stream` that match `filter` and have messages. A stream that is not there has
/// none.
pub async fn messages(
    context: &jetstream::Context,
    stream: &'static str,
    filter: &str,
) -> Result<Vec<Messages>, EraseError> {
    let failed = |reason: &dyn std::fmt::Display| failed(stream, filter, reason);
    let found = match context.get_stream(stream).await {
        Ok(found) => found,
        Err(error) if is_missing(&error) => return Ok(Vec::new()),
        Err(error) => return Err(failed(&error)),
    };
    let subjects = found
        .info_with_subjects(filter)
        .await
        .map_err(|error| failed(&error))?;
    subjects
        .map_ok(|(subject, count)| Messages {
            stream,
            subject,
            count: count as u64,
        })
        .try_collect()
        .await
        .map_err(|error| failed(&error))
}

/// The last sequence of a stream; 0 where it is not there.
pub async fn last_sequence(
    context: &jetstream::Context,
    stream: &'static str,
) -> Result<u64, EraseError> {
    let state = pages::state(context, stream).await;
    let state = state.map_err(|error| failed(stream, "all subjects", &error))?;
    Ok(state.map_or(0, |state| state.last_sequence))
}

/// What is known of a consumer; `None` where it is not there.
pub async fn consumer_info(
    context: &jetstream::Context,
    names: &ConsumerNames,
) -> Result<Option<consumer::Info>, EraseError> {
    let info = names.info(context).await;
    info.map_err(|error| failed(&names.stream, &names.filter, &error))
}

impl Messages {
    /// The sequence of the last message; `None` where there is none.
    pub async fn last(&self, context: &jetstream::Context) -> Result<Option<u64>, EraseError> {
        let last = sequence_of(context, self.stream, &self.subject, End::Last).await;
        last.map_err(|error| self.failed(&error))
    }

    /// Deletes those up to the sequence `through` whose receipts are `covered`, and returns how
    /// many. What comes before the first that is not goes at once, the others one by one. A
    /// message that names no receipt is not ours, and stays.
    pub async fn delete(
        &self,
        context: &jetstream::Context,
        through: u64,
        covered: impl Fn(Uuid) -> bool,
    ) -> Result<u64, EraseError> {
        let stream = self.open(context).await?;
        let mut pages = self.pages(context, through).await?;
        let mut deleted = 0;
        // One after the last of those that go at once.
        let mut purge_to = Some(0);
        loop {
            let page = pages.next(PAGE, PAGE_BYTES).await;
            let page = page.map_err(|error| self.failed(&error))?;
            if page.is_empty() {
                break;
            }
            let mut stragglers = Vec::new();
            for message in &page {
                let info = message.info().map_err(|error| self.failed(&*error))?;
                let sequence = info.stream_sequence;
                match (receipt(message).is_some_and(&covered), purge_to) {
                    (true, Some(_)) => purge_to = Some(sequence + 1),
                    (true, None) => stragglers.push(sequence),
                    (false, Some(end)) => {
                        deleted += self.purge(&stream, end).await?;
                        purge_to = None;
                    }
                    (false, None) => {}
                }
            }
            deleted += delete_each(&stream, &stragglers)
                .await
                .map_err(|error| self.failed(&error))?;
        }
        if let Some(end) = purge_to {
            deleted += self.purge(&stream, end).await?;
        }
        Ok(deleted)
    }

    /// By their headers, up to the sequence `through`.
    async fn pages(&self, context: &jetstream::Context, through: u64) -> Result<Pages, EraseError> {
        let stretch = Stretch {
            stream: self.stream.to_owned(),
            filter: self.subject.clone(),
            after: 0,
            up_to: through,
            headers_only: true,
        };
        let pages = Pages::open(context, stretch).await;
        pages.map_err(|error| self.failed(&error))
    }

    /// By its whole subject: a consumer is told of what is purged only where it takes all of it.
    async fn purge(&self, stream: &stream::Stream<()>, end: u64) -> Result<u64, EraseError> {
        if end == 0 {
            return Ok(0);
        }
        let purged = stream.purge().filter(&self.subject).sequence(end).await;
        Ok(purged.map_err(|error| self.failed(&error))?.purged)
    }

    async fn open(&self, context: &jetstream::Context) -> Result<stream::Stream<()>, EraseError> {
        let stream = context.get_stream_no_info(self.stream).await;
        stream.map_err(|error| self.failed(&error))
    }

    fn failed(&self, reason: &dyn std::fmt::Display) -> EraseError {
        failed(self.stream, &self.subject, reason)
    }
}

/// Deletes single messages of `stream`; those that are gone already count for nothing.
pub async fn delete_sequences(
    context: &jetstream::Context,
    stream: &'static str,
    sequences: &[u64],
) -> Result<u64, EraseError> {
    let failed = |reason: &dyn std::fmt::Display| failed(stream, "erased accounts", reason);
    let opened = context.get_stream_no_info(stream).await;
    let opened = opened.map_err(|error| failed(&error))?;
    let deleted = delete_each(&opened, sequences).await;
    deleted.map_err(|error| failed(&error))
}

async fn delete_each(stream: &stream::Stream<()>, sequences: &[u64]) -> Result<u64, String> {
    futures::stream::iter(sequences.to_vec())
        .map(|sequence| async move {
            let Err(error) = stream.delete_message(sequence).await else {
                return Ok(1);
            };
            // The server says in words alone that there is no such message.
            match stream.get_raw_message(sequence).await {
                Err(missing) if missing.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(0),
                _ => Err(error.to_string()),
            }
        })
        .buffer_unordered(WINDOW)
        .try_fold(0, |sum, deleted| async move { Ok(sum + deleted) })
        .await
}

fn receipt(message: &jetstream::Message) -> Option<Uuid> {
    let headers = message.headers.as_ref()?;
    receipt_of(headers.get(MESSAGE_ID)?.as_str())
}

fn is_missing(error: &GetStreamError) -> bool {
    matches!(error.kind(), GetStreamErrorKind::JetStream(ref reason) if reason.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

fn failed(stream: &str, subject: &str, reason: &dyn std::fmt::Display) -> EraseError {
    EraseError {
        stream: stream.to_owned(),
        subject: subject.to_owned(),
        reason: reason.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_names_its_receipt() {
        let receipt = Uuid::now_v7();
        for id in [
            format!("{receipt}"),
            format!("stored:{receipt}"),
            format!("dead:{receipt}:2"),
            format!("reprocess:{receipt}:adopted"),
        ] {
            assert_eq!(receipt_of(&id), Some(receipt), "{id}");
        }
        assert_eq!(receipt_of("somebody else's"), None);
    }
}
