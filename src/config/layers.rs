//! The layers: built-in defaults, those of the demo, a file, the environment, files with a secret.
//!
//! Each is read in the shape of the built-in defaults, so that a text such as `0123` stays a text where
//! a text is the default, and what no key is called is found in the layer that has it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use figment::value::{Dict, Map, Value};
use figment::{Metadata, Profile, Provider};

use super::error::Problem;
use super::keys;
use crate::instagram::types;

/// `config/default.toml`: every key with its default.
pub(super) const DEFAULTS: &str = include_str!("../../config/default.toml");

/// What the origin of a built-in default is called.
pub(super) const BUILT_IN: &str = "built-in default";

/// One layer of values, section by section.
pub(super) struct Layer {
    origin: Origin,
    values: Dict,
}

#[derive(Clone)]
enum Origin {
    BuiltIn,
    Demo,
    File(PathBuf),
    SecretFile(PathBuf),
    Environment,
}

impl Origin {
    /// Where the value of a key came from, for a person.
    fn of(&self, key: &[&str]) -> String {
        match self {
            Self::BuiltIn => BUILT_IN.to_owned(),
            Self::Demo => "default of --demo".to_owned(),
            Self::File(path) => format!("file {}", path.display()),
            Self::SecretFile(path) => {
                format!("file {}, named by {}_file", path.display(), key.join("."))
            }
            Self::Environment => format!("environment variable {}", keys::variable(&key.join("."))),
        }
    }
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        let origin = self.origin.clone();
        Metadata::named("igstream").interpolater(move |_: &Profile, key: &[&str]| origin.of(key))
    }

    fn data(&self) -> figment::Result<Map<Profile, Dict>> {
        Ok(Profile::Default.collect(self.values.clone()))
    }
}

impl Layer {
    /// The built-in defaults, which are the shape of all other layers. A type that the file does not name has a key
    /// all the same, with the type's own priority.
    pub(super) fn built_in() -> Result<Self, Problem> {
        let values = parse_toml(DEFAULTS)
            .map_err(|what| Problem::new(BUILT_IN, format!("{BUILT_IN}s: {what}")))?;
        let mut layer = Self {
            origin: Origin::BuiltIn,
            values,
        };
        for event_type in types::with_unknown() {
            let key = keys::priority_of(event_type.name);
            if layer.get(&key).is_none() {
                layer.set(&key, Value::from(event_type.priority));
            }
        }
        Ok(layer)
    }

    /// What `--demo` changes in the defaults.
    pub(super) fn demo() -> Self {
        let mut layer = Self {
            origin: Origin::Demo,
            values: Dict::new(),
        };
        layer.set("accounts.auto_register", Value::from(true));
        layer
    }

    /// A file in TOML.
    pub(super) fn file(path: &Path, defaults: &Self, problems: &mut Vec<Problem>) -> Self {
        let mut layer = Self {
            origin: Origin::File(path.to_owned()),
            values: Dict::new(),
        };
        match read_toml(path) {
            Ok(values) => layer.take(values, defaults, problems),
            Err(problem) => problems.push(problem),
        }
        layer
    }

    /// The variables that begin with `IGSTREAM__`.
    pub(super) fn environment(
        variables: impl Iterator<Item = (OsString, OsString)>,
        defaults: &Self,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let mut layer = Self {
            origin: Origin::Environment,
            values: Dict::new(),
        };
        for (name, text) in variables {
            let name = name.to_string_lossy();
            if !name.to_uppercase().starts_with(keys::PREFIX) {
                continue;
            }
            let Some(key) = keys::KEYS
                .iter()
                .find(|key| keys::variable(&key.name) == name)
            else {
                problems.push(unknown_variable(&name));
                continue;
            };
            match text.into_string() {
                Ok(text) => layer.set(&key.name, shaped(text, defaults.get(&key.name))),
                Err(_) => problems.push(Problem::new(
                    &*key.name,
                    format!("{}: environment variable {name} is not UTF-8", key.name),
                )),
            }
        }
        layer
    }

    /// What the file of a secret holds.
    pub(super) fn secret_file(key: &str, path: PathBuf, secret: Value) -> Self {
        let mut layer = Self {
            origin: Origin::SecretFile(path),
            values: Dict::new(),
        };
        layer.set(key, secret);
        layer
    }

    /// The value of a key in this layer.
    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        let mut names = key.split('.');
        let first = self.values.get(names.next()?);
        names.try_fold(first?, |section, name| section.as_dict()?.get(name))
    }

    fn set(&mut self, key: &str, value: Value) {
        set(&mut self.values, key, value);
    }

    /// Takes the values of a file over, as far as there are keys of their names.
    fn take(&mut self, values: Dict, defaults: &Self, problems: &mut Vec<Problem>) {
        for (section, value) in values {
            if defaults.values.contains_key(&section) {
                self.take_value(&section, value, defaults, problems);
            } else {
                problems.push(self.unknown(&section, &section_names(defaults)));
            }
        }
    }

    /// Takes the value of a key, or all that a section holds.
    fn take_value(
        &mut self,
        name: &str,
        value: Value,
        defaults: &Self,
        problems: &mut Vec<Problem>,
    ) {
        match (defaults.get(name), value) {
            (None, _) => {
                let known: Vec<String> = keys::KEYS
                    .iter()
                    .map(|known| known.name.to_string())
                    .collect();
                problems.push(self.unknown(name, &known));
            }
            (Some(Value::Dict(..)), Value::Dict(_, entries)) => {
                for (entry, value) in entries {
                    self.take_value(&format!("{name}.{entry}"), value, defaults, problems);
                }
            }
            (Some(Value::Dict(..)), _) => {
                let origin = self.origin.of(&[]);
                problems.push(Problem::new(name, format!("{name} ({origin}) is not a key but a section; write [{name}] and its keys below")));
            }
            (Some(shape @ Value::Array(..)), Value::String(_, text)) => {
                self.set(name, shaped(text, Some(shape)));
            }
            (Some(_), value) => self.set(name, value),
        }
    }

    fn unknown(&self, name: &str, known: &[String]) -> Problem {
        let hint = hint(keys::nearest(name, known.iter().cloned()));
        Problem::new(
            name,
            format!(
                "{name} ({}) is not a key of the configuration; {hint}",
                self.origin.of(&[])
            ),
        )
    }
}

/// Puts a value under its section, which may be in another one, and its name.
pub(super) fn set(values: &mut Dict, key: &str, value: Value) {
    let Some((section, name)) = key.split_once('.') else {
        values.insert(key.to_owned(), value);
        return;
    };
    let section = values
        .entry(section.to_owned())
        .or_insert_with(|| Value::from(Dict::new()));
    if let Value::Dict(_, entries) = section {
        set(entries, name, value);
    }
}

fn section_names(defaults: &Layer) -> Vec<String> {
    defaults.values.keys().cloned().collect()
}

fn unknown_variable(name: &str) -> Problem {
    let hint = hint(keys::nearest(
        name,
        keys::KEYS.iter().map(|key| keys::variable(&key.name)),
    ));
    Problem::new(
        name,
        format!("environment variable {name} is not a key of the configuration; {hint}"),
    )
}

fn hint(nearest: Option<String>) -> String {
    nearest.map_or_else(
        || "docs/configuration.md lists all keys".to_owned(),
        |name| format!("did you mean {name}?"),
    )
}

/// The text as a value of the same type as the default. What cannot be read as that type stays a text,
/// and is refused with all other wrong values.
fn shaped(text: String, default: Option<&Value>) -> Value {
    match default {
        Some(Value::Num(..)) => text
            .trim()
            .parse::<i64>()
            .map_or_else(|_| Value::from(text), Value::from),
        Some(Value::Bool(..)) => text
            .trim()
            .parse::<bool>()
            .map_or_else(|_| Value::from(text), Value::from),
        Some(Value::Array(..)) if text.trim().is_empty() => Value::from(Vec::<Value>::new()),
        Some(Value::Array(_, items)) => {
            let parts = text
                .split(',')
                .map(|part| shaped(part.trim().to_owned(), items.first()));
            Value::from(parts.collect::<Vec<_>>())
        }
        _ => Value::from(text),
    }
}

fn read_toml(path: &Path) -> Result<Dict, Problem> {
    let shown = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| {
        Problem::new(
            &shown,
            format!("cannot read the configuration file {shown}: {error}"),
        )
    })?;
    parse_toml(&text).map_err(|what| {
        Problem::new(
            &shown,
            format!("configuration file {shown} is not TOML: {what}"),
        )
    })
}

/// Parses TOML. The error tells the place; the line itself may hold a secret and is not shown.
fn parse_toml(text: &str) -> Result<Dict, String> {
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let start = error.span().map_or(0, |span| span.start).min(text.len());
        let before = text.get(..start).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        format!(
            "line {line}, column {column}: {}",
            error.message().lines().next().unwrap_or_default()
        )
    })?;
    let value = Value::serialize(&table).map_err(|error| error.to_string())?;
    value.into_dict().ok_or_else(|| "not a table".to_owned())
}
