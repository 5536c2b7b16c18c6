//! The configuration: layers of values, read into plain sections, checked before anything starts.
//!
//! Later layers win: built-in defaults (`config/default.toml`), what `--demo` changes in them, the file given
//! with `--config`, environment variables `IGSTREAM__SECTION__KEY`. All that is wrong is told at once.

mod checks;
mod error;
mod keys;
mod layers;
mod secret_files;
mod sections;
#[cfg(test)]
mod tests;
mod values;

use std::ffi::OsString;
use std::path::Path;

use figment::value::{Dict, Value};
use figment::{Figment, Profile};
use serde::Deserialize;

pub use self::error::{ConfigError, Problem};
use self::layers::Layer;
pub use self::sections::{
    Accounts, Api, Auth, Database, Durability, Handlers, Instagram, Log, LogFormat, Metrics, Nats,
    NatsMode, Privacy, Retention, Server, Stream,
};
pub use crate::secret::Secret;

/// The whole configuration, valid.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The HTTP side.
    pub server: Server,
    /// The Prometheus side.
    pub metrics: Metrics,
    /// What is shared with Meta's app.
    pub instagram: Instagram,
    /// The server of the streams.
    pub nats: Nats,
    /// The database.
    pub database: Database,
    /// Who may use the management API.
    pub auth: Auth,
    /// The management API.
    pub api: Api,
    /// Accounts that are not known yet.
    pub accounts: Accounts,
    /// How events are processed.
    pub handlers: Handlers,
    /// How the streams are kept.
    pub stream: Stream,
    /// What is done with what people unsent.
    pub privacy: Privacy,
    /// How long rows are kept.
    pub retention: Retention,
    /// The log.
    pub log: Log,
    /// Secrets that `--demo` made because none were configured; already in their sections, here to be shown once.
    #[serde(skip)]
    pub generated: Option<Generated>,
}

/// Secrets that were made for a demo; `None` where one was configured.
#[derive(Debug, Clone)]
pub struct Generated {
    /// `instagram.app_secrets`, 32 hexadecimal digits like Meta's.
    pub app_secret: Option<Secret>,
    /// `instagram.verify_token`.
    pub verify_token: Option<Secret>,
    /// `auth.jwt_secret`, so that `igstream token` can be used with the demo.
    pub jwt_secret: Option<Secret>,
}

impl Config {
    /// Reads the configuration from the built-in defaults, a file and the environment of the process.
    ///
    /// Secrets may be missing: whoever needs them asks with [`Config::require_instagram`] and the like.
    pub fn load(file: Option<&Path>, demo: bool) -> Result<Self, ConfigError> {
        Self::load_with(file, demo, std::env::vars_os())
    }

    /// As [`Config::load`], with these environment variables.
    pub fn load_with<N, T>(
        file: Option<&Path>,
        demo: bool,
        environment: impl IntoIterator<Item = (N, T)>,
    ) -> Result<Self, ConfigError>
    where
        N: Into<OsString>,
        T: Into<OsString>,
    {
        let variables = environment
            .into_iter()
            .map(|(name, text)| (name.into(), text.into()));
        let mut problems = Vec::new();
        let defaults = Layer::built_in()?;
        let file = file.map(|path| Layer::file(path, &defaults, &mut problems));
        let environment = Layer::environment(variables, &defaults, &mut problems);
        let mut merged = Figment::from(&defaults);
        for layer in demo
            .then(Layer::demo)
            .iter()
            .chain(&file)
            .chain([&environment])
        {
            merged = merged.merge(layer);
        }
        for layer in secret_files::layers(&merged, &mut problems) {
            merged = merged.merge(layer);
        }
        let config = extract(&merged, &defaults, &mut problems);
        ConfigError::unless_empty(problems)?;
        let mut config = config.ok_or_else(|| {
            Problem::new("", "the defaults do not have the shape of the sections")
        })?;
        ConfigError::unless_empty(checks::all(&config))?;
        if demo {
            config.generate_secrets();
        }
        Ok(config)
    }

    /// What `serve` needs of Instagram: an app secret and the verify token.
    pub fn require_instagram(&self) -> Result<(), ConfigError> {
        let missing = [
            (
                "instagram.app_secrets",
                self.instagram.app_secrets.is_empty(),
            ),
            (
                "instagram.verify_token",
                self.instagram.verify_token.is_none(),
            ),
        ];
        require(&missing)
    }

    /// What signing and checking deliveries needs: an app secret.
    pub fn require_app_secrets(&self) -> Result<(), ConfigError> {
        require(&[(
            "instagram.app_secrets",
            self.instagram.app_secrets.is_empty(),
        )])
    }

    /// What the app's own subscription needs: its number, its secret and the verify token.
    pub fn require_app(&self) -> Result<(), ConfigError> {
        let instagram = &self.instagram;
        let app_id = instagram.app_id.is_none().then(|| {
            Problem::new(
                "instagram.app_id",
                "instagram.app_id is not set; set it to the number of the app in Meta's app dashboard, in the configuration file, as IGSTREAM__INSTAGRAM__APP_ID, or give --app-id",
            )
        });
        let mut problems: Vec<Problem> = app_id.into_iter().collect();
        if let Err(missing) = self.require_instagram() {
            problems.extend(missing.problems().iter().cloned());
        }
        ConfigError::unless_empty(problems)
    }

    /// What storing an access token needs: the key that it is encrypted with.
    pub fn require_encryption_key(&self) -> Result<(), ConfigError> {
        require(&[(
            "accounts.encryption_key",
            self.accounts.encryption_key.is_none(),
        )])
    }

    /// What issuing a management token needs: the HS256 secret.
    pub fn require_jwt_secret(&self) -> Result<(), ConfigError> {
        require(&[("auth.jwt_secret", self.auth.jwt_secret.is_none())])
    }

    /// Makes the secrets that a demo lacks.
    fn generate_secrets(&mut self) {
        let random = || Secret::new(format!("{:032x}", rand::random::<u128>()));
        let app_secret = self.instagram.app_secrets.is_empty().then(random);
        let verify_token = self.instagram.verify_token.is_none().then(random);
        let jwt_secret = (!self.auth.is_configured()).then(random);
        if app_secret.is_none() && verify_token.is_none() && jwt_secret.is_none() {
            return;
        }
        self.instagram.app_secrets.extend(app_secret.clone());
        self.instagram.verify_token = self.instagram.verify_token.take().or(verify_token.clone());
        self.auth.jwt_secret = self.auth.jwt_secret.take().or(jwt_secret.clone());
        self.generated = Some(Generated {
            app_secret,
            verify_token,
            jwt_secret,
        });
    }
}

fn require(secrets: &[(&str, bool)]) -> Result<(), ConfigError> {
    let missing = secrets.iter().filter(|(_, missing)| *missing);
    ConfigError::unless_empty(missing.map(|(name, _)| Problem::missing(name)).collect())
}

/// Where the value of a key came from, for a person.
fn origin(merged: &Figment, key: &str) -> String {
    let parts: Vec<&str> = key.split('.').collect();
    merged.find_metadata(key).map_or_else(
        || "no origin".to_owned(),
        |metadata| metadata.interpolate(&Profile::Default, &parts),
    )
}

/// Reads the merged values into the sections. Each wrong value is told and its default put in its place,
/// so that the next one is found too.
fn extract(merged: &Figment, defaults: &Layer, problems: &mut Vec<Problem>) -> Option<Config> {
    let mut values = without_secret_files(merged);
    for _ in 0..=keys::KEYS.len() {
        let error = match Value::from(values.clone()).deserialize::<Config>() {
            Ok(config) => return Some(config),
            Err(error) => error,
        };
        let name = key_at(&error.path);
        let (Some(key), Some(default)) = (keys::find(&name), defaults.get(&name)) else {
            problems.push(Problem::new(
                &name,
                format!("{name} ({}): {}", origin(merged, &name), error.kind),
            ));
            return None;
        };
        if let Ok(value) = merged.find_value(&name) {
            problems.push(Problem::wrong_value(key, &value, &origin(merged, &name)));
        }
        layers::set(&mut values, &name, default.clone());
    }
    None
}

/// The key whose value, or a part of it, lies at this path.
fn key_at(path: &[String]) -> String {
    let parts = 1..=path.len();
    let mut names = parts.map(|parts| path[..parts].join("."));
    names
        .find(|name| keys::find(name).is_some())
        .unwrap_or_else(|| path.join("."))
}

/// The merged values without the keys that only name the file of a secret.
fn without_secret_files(merged: &Figment) -> Dict {
    let mut values = merged
        .find_value("")
        .ok()
        .and_then(Value::into_dict)
        .unwrap_or_default();
    for key in keys::KEYS.iter().filter(|key| key.secret) {
        let Some((section, name)) = key.name.split_once('.') else {
            continue;
        };
        if let Some(Value::Dict(_, entries)) = values.get_mut(section) {
            entries.remove(&format!("{name}{}", secret_files::SUFFIX));
        }
    }
    values
}
