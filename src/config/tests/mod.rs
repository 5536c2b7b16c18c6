#![allow(clippy::unwrap_used, clippy::expect_used)]

mod keys;
mod layers;
mod secrets;

use std::path::PathBuf;

use super::{Config, ConfigError};

const NO_ENVIRONMENT: [(&str, &str); 0] = [];

struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

fn from_environment(variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    Config::load_with(None, false, variables.iter().copied())
}

fn from_file(text: &str) -> Result<Config, ConfigError> {
    let files = Files::new();
    Config::load_with(
        Some(&files.write("igstream.toml", text)),
        false,
        NO_ENVIRONMENT,
    )
}
