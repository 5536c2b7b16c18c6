//! Whether the service could start: looks at everything it needs, and changes nothing. It makes no file, no
//! stream and no schema, and starts no server.

mod addresses;
mod clock;
mod database;
mod disk;
mod nats;
mod streams;

use serde::Serialize;

pub(crate) use addresses::reached_at;

use crate::api::auth::Authority;
use crate::config::{Config, ConfigError};

/// How good a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// As it must be.
    Good,
    /// Worth knowing; the service starts all the same.
    Note,
    /// The service could not start, or could not work.
    Wrong,
    /// The same, and it is the configuration that has to be mended.
    Misconfigured,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub what: &'static str,
    /// How good it is.
    pub state: State,
    /// What was found; where it is wrong, also how to mend it.
    pub found: String,
}

impl Finding {
    fn good(what: &'static str, found: impl Into<String>) -> Self {
        Self::new(what, State::Good, found)
    }

    fn note(what: &'static str, found: impl Into<String>) -> Self {
        Self::new(what, State::Note, found)
    }

    fn wrong(what: &'static str, found: impl Into<String>) -> Self {
        Self::new(what, State::Wrong, found)
    }

    fn new(what: &'static str, state: State, found: impl Into<String>) -> Self {
        Self {
            what,
            state,
            found: found.into(),
        }
    }
}

/// All that was looked at, in the order in which a start needs it.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Whether the service could start, or runs.
    pub could_start: bool,
    /// One for each thing.
    pub findings: Vec<Finding>,
}

impl Report {
    fn new(findings: Vec<Finding>) -> Self {
        Self {
            could_start: findings.iter().all(|finding| finding.state < State::Wrong),
            findings,
        }
    }

    /// Of a configuration that cannot be used: nothing else could be looked at.
    #[must_use]
    pub fn misconfigured(error: &ConfigError) -> Self {
        Self::new(problems("configuration", error).collect())
    }

    /// The worst of all.
    #[must_use]
    pub fn state(&self) -> State {
        let states = self.findings.iter().map(|finding| finding.state);
        states.max().unwrap_or(State::Good)
    }
}

/// Looks at everything.
pub async fn check(config: &Config) -> Report {
    let mut findings = vec![Finding::good("configuration", "every key has a good value")];
    findings.extend(secrets(config));
    findings.push(tokens(config));
    let nats = nats::check(config).await;
    findings.extend(nats.findings);
    let database = database::check(config).await;
    findings.extend(database.findings);
    findings.extend(archive(config));
    findings.extend(addresses::check(config).await);
    let elsewhere = [("NATS", nats.clock), ("the database", database.clock)];
    findings.push(clock::check(&elsewhere));
    Report::new(findings)
}

fn secrets(config: &Config) -> Vec<Finding> {
    if let Err(error) = config.require_instagram() {
        return problems("secrets", &error).collect();
    }
    let count = config.instagram.app_secrets.len();
    let found = format!("{count} app secret(s) and the verify token are given");
    vec![Finding::good("secrets", found)]
}

fn tokens(config: &Config) -> Finding {
    const WHAT: &str = "management API";
    match Authority::new(&config.auth) {
        Err(error) => Finding::new(WHAT, State::Misconfigured, error.to_string()),
        Ok(_) if config.auth.is_configured() => {
            Finding::good(WHAT, "who may issue its tokens is said")
        }
        Ok(_) => Finding::note(
            WHAT,
            "nobody may use it: set auth.jwt_secret, auth.jwt_public_key_file or auth.jwks_url",
        ),
    }
}

/// Where rows go before retention deletes them.
fn archive(config: &Config) -> Option<Finding> {
    let directory = config.retention.archive_dir.as_ref()?;
    let shown = directory.display();
    Some(match disk::unwritable_directory(directory) {
        None => Finding::good(
            "archive",
            format!("{shown} (retention.archive_dir) can be written to"),
        ),
        Some(reason) => Finding::wrong(
            "archive",
            format!(
                "{shown} (retention.archive_dir) cannot be used: {reason}; nothing would be deleted: mend it, or set another directory"
            ),
        ),
    })
}

fn problems(what: &'static str, error: &ConfigError) -> impl Iterator<Item = Finding> {
    let problems = error.problems().iter();
    problems.map(move |problem| Finding::new(what, State::Misconfigured, problem.to_string()))
}

/// An error with all its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let reason = error.to_string();
        if !text.contains(&reason) {
            text = format!("{text}: {reason}");
        }
        cause = error.source();
    }
    text
}
