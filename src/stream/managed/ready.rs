//! Waiting for a server that was started.

use std::{fs, io, path::Path, time::Duration};

use serde::Deserialize;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpStream,
    process::Child,
    time::{Instant, sleep, timeout},
};

use super::{
    DataDir, ManagedError,
    exit::{Exit, exit},
    listen::Listen,
    log::RunLog,
};

/// A server reads its streams before it listens: seconds for millions of messages, minutes if it must rebuild an index.
const STARTS_WITHIN: Duration = Duration::from_mins(10);
const SAYS_SO_EVERY: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(10);
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);

/// Returns when the server answers, or why it does not.
pub(super) async fn until_ready(
    child: &mut Child,
    data_dir: &DataDir,
    listen: &Listen,
    log: &RunLog,
) -> Result<Listening, ManagedError> {
    let ports = data_dir.ports();
    tokio::select! {
        status = child.wait() => Err(ended_early(exit(status.map(|status| status.to_string()), log), listen)),
        listening = answering(&ports, listen) => Ok(listening),
        () = sleep(STARTS_WITHIN) => {
            Err(ManagedError::NoAnswer { seconds: STARTS_WITHIN.as_secs(), log: log.log.clone() })
        }
    }
}

fn ended_early(exit: Exit, listen: &Listen) -> ManagedError {
    // Somebody took the place between our look and the server's.
    if exit.log_tail.contains("address already in use") {
        return ManagedError::PortTaken {
            address: listen.address(listen.port.unwrap_or(0)),
        };
    }
    ManagedError::Ended(exit)
}

/// Where a server was found to listen.
pub(super) struct Listening {
    /// For clients.
    pub(super) port: u16,
    /// A URL.
    pub(super) monitor: String,
}

async fn answering(ports: &Path, listen: &Listen) -> Listening {
    let started = Instant::now();
    let mut says_so = started + SAYS_SO_EVERY;
    loop {
        if let Some(listening) = listening(ports)
            && answers(&listen.reached_at(listening.port)).await
        {
            return listening;
        }
        if Instant::now() >= says_so {
            says_so += SAYS_SO_EVERY;
            let seconds = started.elapsed().as_secs();
            tracing::info!(seconds, "nats-server is still reading its streams");
        }
        sleep(LOOK_EVERY).await;
    }
}

/// From the file that the server writes once it listens:
/// `{"nats":["nats://127.0.0.1:4222"],"monitoring":["http://127.0.0.1:8222"]}`.
fn listening(ports: &Path) -> Option<Listening> {
    #[derive(Deserialize)]
    struct Ports {
        nats: Vec<String>,
        monitoring: Vec<String>,
    }
    let file = fs::read_dir(ports)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| is_ports_file(path))?;
    let Ports { nats, monitoring } = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
    Some(Listening {
        port: nats.first()?.rsplit_once(':')?.1.parse().ok()?,
        monitor: monitoring.into_iter().next()?,
    })
}

fn is_ports_file(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension == "ports")
}

/// Whether a nats-server with `JetStream` greets there.
async fn answers(address: &str) -> bool {
    let greeting = async {
        let mut line = String::new();
        BufReader::new(TcpStream::connect(address).await?)
            .read_line(&mut line)
            .await?;
        io::Result::Ok(line)
    };
    let greeting = timeout(ANSWERS_WITHIN, greeting).await;
    matches!(greeting, Ok(Ok(line)) if line.starts_with("INFO ") && line.contains("\"jetstream\":true"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_server_that_loses_the_race_for_its_port_says_which() {
        let log_tail = "[FTL] Error listening on port: 127.0.0.1:4222, \
                        \"listen tcp 127.0.0.1:4222: bind: address already in use\"";
        let exit = Exit {
            status: "exit status: 1".to_owned(),
            log_tail: log_tail.to_owned(),
        };
        let error = ended_early(exit, &Listen::parse("127.0.0.1:4222").unwrap());
        assert!(
            matches!(&error, ManagedError::PortTaken { address } if address == "127.0.0.1:4222"),
            "{error}"
        );
    }
}
