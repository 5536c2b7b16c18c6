//! Whether the server that a killed igstream left is taken over.
//!
//! It holds its streams open, and need not read them again, which takes seconds for some gigabytes; while it is
//! stopped and another started, nothing can be made durable.

use std::time::Duration;

use super::{
    DataDir, Look, ManagedError, data_dir::Record, health, invocation::Invocation, lock,
    process::Orphan,
};

/// What is to be done with what a killed igstream left.
pub(super) enum Left {
    /// It left nothing.
    Nothing,
    /// A server just like the one that would be started, and well.
    Like(Orphan, Record),
    /// Another, or one that is not well: it is stopped, asked first if it answers.
    Other { answers: bool },
}

/// Looks at what was left on `data_dir`, where a server would be run like one of `wanted`.
pub(super) async fn look(data_dir: &DataDir, wanted: &[Invocation]) -> Result<Left, ManagedError> {
    let Some(orphan) = lock::orphan_on(data_dir.path())? else {
        return Ok(Left::Nothing);
    };
    let found = tokio::time::timeout(GIVEN, judge(data_dir, wanted, &orphan)).await;
    let reason = match found {
        Ok(Ok(record)) => return Ok(Left::Like(orphan, record)),
        Ok(Err(reason)) => reason,
        Err(_) => SILENT,
    };
    tracing::warn!(
        pid = orphan.id(),
        reason,
        "a nats-server that outlived its igstream is not taken over"
    );
    Ok(Left::Other {
        answers: reason != SILENT,
    })
}

/// Longer is no gain over a start.
const GIVEN: Duration = Duration::from_secs(2);
const SILENT: &str = "it does not answer";

async fn judge(
    data_dir: &DataDir,
    wanted: &[Invocation],
    orphan: &Orphan,
) -> Result<Record, &'static str> {
    let record = data_dir
        .recorded()
        .filter(|record| record.pid == orphan.id());
    let record = record.ok_or("it was not up yet")?;
    if !wanted.iter().any(|wanted| wanted.is_of(orphan.pid())) {
        return Err("it was started with other options, or by another nats-server");
    }
    if !data_dir.is_prepared() {
        return Err("it was started with another configuration");
    }
    match health::look(&record.monitor).await {
        Look::Well => Ok(record),
        Look::Silent | Look::Stalled => Err(SILENT),
        Look::Broken(_) | Look::Ailing(_) => Err("it is not well"),
    }
}
