//! What is wrong with a configuration, all of it at once.

use std::fmt;

use figment::value::Value;

use super::keys::{self, Key};

/// The configuration cannot be used. The text names every key at fault, its value (never a secret's),
/// where the value came from and what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", render(.problems))]
pub struct ConfigError {
    problems: Vec<Problem>,
}

impl ConfigError {
    /// An error unless the list is empty.
    pub(super) fn unless_empty(mut problems: Vec<Problem>) -> Result<(), Self> {
        if problems.is_empty() {
            return Ok(());
        }
        problems.sort_by(|a, b| a.key.cmp(&b.key));
        problems.dedup();
        Err(Self { problems })
    }

    /// What is wrong, one at a time, in the order of the keys.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl From<Problem> for ConfigError {
    fn from(problem: Problem) -> Self {
        Self {
            problems: vec![problem],
        }
    }
}

fn render(problems: &[Problem]) -> String {
    match problems {
        [only] => format!("configuration: {only}"),
        many => many.iter().fold(
            format!("configuration: {} things are wrong", many.len()),
            |text, problem| format!("{text}\n  {problem}"),
        ),
    }
}

/// One thing that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    key: String,
    message: String,
}

impl Problem {
    /// What is wrong with the key of this name, in full: `message` names the key.
    pub(super) fn new(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            message: message.into(),
        }
    }

    /// A value that is not allowed.
    pub(super) fn wrong_value(key: &Key, value: &Value, origin: &str) -> Self {
        let name = &*key.name;
        let given = match shown(key, value) {
            Some(value) => format!("{name} = {value} ({origin})"),
            None => format!("{name} ({origin}; value not shown)"),
        };
        Self::new(
            name,
            format!("{given} is not allowed; it must be {}", key.allowed),
        )
    }

    /// A secret that a command needs and nobody gave.
    pub(super) fn missing(name: &str) -> Self {
        let variable = keys::variable(name);
        Self::new(
            name,
            format!(
                "{name} is not set; set it in the configuration file, as {variable}, or name a file with {name}_file"
            ),
        )
    }

    /// The key at fault (`server.bind`), or the file where no key could be read.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// The value as a person would write it, unless it is or may hold a secret.
fn shown(key: &Key, value: &Value) -> Option<String> {
    const LONGEST: usize = 80;
    let text = plain(value)?;
    // A URL with a user part, given for a key that takes none, holds a password.
    if key.secret || text.contains('@') {
        return None;
    }
    if text.chars().count() <= LONGEST {
        return Some(text);
    }
    Some(text.chars().take(LONGEST).chain("…".chars()).collect())
}

fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(_, text) => Some(format!("{text:?}")),
        Value::Char(_, char) => Some(format!("{:?}", char.to_string())),
        Value::Bool(_, flag) => Some(flag.to_string()),
        Value::Num(_, number) => number
            .to_i128()
            .map(|whole| whole.to_string())
            .or_else(|| number.to_u128().map(|whole| whole.to_string()))
            .or_else(|| number.to_f64().map(|real| real.to_string())),
        Value::Array(_, items) => {
            let items: Option<Vec<_>> = items.iter().map(plain).collect();
            Some(format!("[{}]", items?.join(", ")))
        }
        Value::Empty(..) | Value::Dict(..) => None,
    }
}
