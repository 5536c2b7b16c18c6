//! How a server that runs is, as its own monitor says.
//!
//! Source: the monitoring endpoint `/healthz`. With `js-enabled-only` it touches no stream, and so answers also
//! while one waits for its disk; without, it waits for every stream's lock, and tells of a stream that could not
//! write. Such a stream refuses every write until the server is started again, also when its disk has room again.

use std::time::Duration;

use reqwest::{Client, StatusCode};
use serde::Deserialize;
use tokio::time::sleep;

/// Longer than any answer takes of a server that is only busy.
const ANSWERS_WITHIN: Duration = Duration::from_secs(3);
/// A server that has not answered so many looks in a row, 15 s, hangs. Looks are counted, and not the time, so
/// that an igstream that was itself held up does not blame the server.
const SILENT_LOOKS: u32 = 5;
/// A disk may keep a stream waiting, which ending the server does not mend; after so many looks, a minute, it is
/// taken for a fault of the server.
const STALLED_LOOKS: u32 = 20;
/// What is told twice is no slip.
const TOLD_LOOKS: u32 = 2;

/// What one look at a server saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// It answers, and all of it works.
    Well,
    /// It does not answer at all.
    Silent,
    /// It answers, but a stream of it does not: it waits for its disk.
    Stalled,
    /// It can store nothing more until it is started again, and says why.
    Broken(String),
    /// Something is wrong that no start mends, and it says what.
    Ailing(String),
}

/// What is to be done after the looks so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing: it is well.
    Well,
    /// Nothing yet; deliveries cannot be made durable meanwhile.
    Wait(String),
    /// Nothing that igstream could do; deliveries may well be made durable.
    Tell(String),
    /// It hangs: it is killed and started again.
    Kill(String),
    /// It has to be started again, once its disk has room.
    Renew(String),
}

/// Judges a server by how often in a row it was seen to be what.
#[derive(Debug, Default)]
pub struct Vigil {
    silent: u32,
    stalled: u32,
    broken: u32,
}

impl Vigil {
    /// Takes the next look into account.
    pub fn judge(&mut self, look: Look) -> Verdict {
        let before = std::mem::take(self);
        match look {
            Look::Well => Verdict::Well,
            Look::Silent => {
                self.silent = before.silent + 1;
                let told = told("it does not answer", self.silent);
                kill_after(self.silent, SILENT_LOOKS, told)
            }
            Look::Stalled => {
                self.stalled = before.stalled + 1;
                let told = told(
                    "its streams do not answer: it waits for its disk",
                    self.stalled,
                );
                kill_after(self.stalled, STALLED_LOOKS, told)
            }
            Look::Broken(reason) => {
                self.broken = before.broken + 1;
                if self.broken < TOLD_LOOKS {
                    Verdict::Wait(reason)
                } else {
                    Verdict::Renew(reason)
                }
            }
            Look::Ailing(reason) => Verdict::Tell(reason),
        }
    }
}

/// One answer that fails to come is a slip.
fn kill_after(looks: u32, limit: u32, told: String) -> Verdict {
    match looks {
        1 => Verdict::Well,
        looks if looks < limit => Verdict::Wait(told),
        _ => Verdict::Kill(told),
    }
}

fn told(what: &str, looks: u32) -> String {
    format!("{what}, for {} s", (ANSWERS_WITHIN * looks).as_secs())
}

/// Looks at servers, one after another.
#[derive(Debug, Clone)]
pub struct Looker(Client);

impl Looker {
    /// # Errors
    /// None that is known: what the client says.
    pub fn new() -> reqwest::Result<Self> {
        // A connection of its own each time: a new one is part of what is tried.
        let client = Client::builder()
            .no_proxy()
            .timeout(ANSWERS_WITHIN)
            .pool_max_idle_per_host(0);
        Ok(Self(client.build()?))
    }

    /// One look at the server with this `monitor`, a URL. Takes three seconds where an answer fails to come.
    pub async fn look(&self, monitor: &str) -> Look {
        // Refused at once is no answer either: looks are of one length, as they are counted.
        let pace = sleep(ANSWERS_WITHIN);
        let look = self.ask(monitor).await;
        if matches!(look, Look::Silent | Look::Stalled) {
            pace.await;
        }
        look
    }

    async fn ask(&self, monitor: &str) -> Look {
        match self
            .health(&format!("{monitor}/healthz?js-enabled-only=true"))
            .await
        {
            Err(_) => return Look::Silent,
            Ok(Health::Well) => {}
            // JetStream ends itself when it cannot go on.
            Ok(Health::Unwell(reason)) => return Look::Broken(reason),
        }
        match self.health(&format!("{monitor}/healthz")).await {
            Err(_) => Look::Stalled,
            Ok(Health::Well) => Look::Well,
            Ok(Health::Unwell(reason)) if is_lasting(&reason) => Look::Broken(reason),
            Ok(Health::Unwell(reason)) => Look::Ailing(reason),
        }
    }

    async fn health(&self, url: &str) -> reqwest::Result<Health> {
        let answer = self.0.get(url).send().await?;
        let status = answer.status();
        let body = answer.bytes().await?;
        Ok(read(status, &body))
    }
}

enum Health {
    Well,
    Unwell(String),
}

fn read(status: StatusCode, body: &[u8]) -> Health {
    #[derive(Deserialize)]
    struct Answer {
        error: String,
    }
    if status.is_success() {
        return Health::Well;
    }
    let told = serde_json::from_slice(body).map(|answer: Answer| answer.error);
    Health::Unwell(told.unwrap_or_else(|_| format!("its monitor answers {status}")))
}

/// Whether a stream could not write, which it does not get over.
fn is_lasting(reason: &str) -> bool {
    reason.contains("write error")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(look: &Look, times: u32) -> Vec<Verdict> {
        let mut vigil = Vigil::default();
        (0..times).map(|_| vigil.judge(look.clone())).collect()
    }

    #[test]
    fn a_server_that_does_not_answer_for_long_is_killed() {
        let verdicts = judged(&Look::Silent, 5);
        assert_eq!(verdicts[0], Verdict::Well);
        assert!(matches!(&verdicts[3], Verdict::Wait(told) if told.contains("12 s")));
        assert!(matches!(&verdicts[4], Verdict::Kill(told) if told.contains("15 s")));
        let verdicts = judged(&Look::Stalled, 20);
        assert!(matches!(verdicts[18], Verdict::Wait(_)));
        assert!(matches!(&verdicts[19], Verdict::Kill(told) if told.contains("disk")));
    }

    #[test]
    fn an_answer_between_begins_anew() {
        let mut vigil = Vigil::default();
        for _ in 0..10 {
            for _ in 0..4 {
                assert!(!matches!(vigil.judge(Look::Silent), Verdict::Kill(_)));
            }
            assert_eq!(vigil.judge(Look::Well), Verdict::Well);
        }
    }

    #[test]
    fn a_write_that_failed_is_told_apart_from_what_no_start_mends() {
        // As nats-server 2.15.1 answers.
        let full = br#"{"status":"unavailable","error":"JetStream stream '$G \u003e A' write error: write /d/1.blk: no space left on device"}"#;
        let Health::Unwell(reason) = read(StatusCode::SERVICE_UNAVAILABLE, full) else {
            panic!("it is not well");
        };
        assert!(is_lasting(&reason), "{reason}");
        let verdicts = judged(&Look::Broken(reason), 2);
        assert!(matches!(&verdicts[0], Verdict::Wait(_)));
        assert!(matches!(&verdicts[1], Verdict::Renew(told) if told.contains("no space left")));
        let lost =
            br#"{"status":"unavailable","error":"JetStream consumer could not be recovered"}"#;
        let Health::Unwell(reason) = read(StatusCode::SERVICE_UNAVAILABLE, lost) else {
            panic!("it is not well");
        };
        assert!(!is_lasting(&reason), "{reason}");
        assert!(matches!(
            judged(&Look::Ailing(reason), 1)[0],
            Verdict::Tell(_)
        ));
        assert!(matches!(read(StatusCode::OK, b""), Health::Well));
    }
}
