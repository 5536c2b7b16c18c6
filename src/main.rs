//! Reads the command line and runs one command.

use std::process::ExitCode;

use clap::Parser;
use igstream::cli::Cli;
use igstream::config::ConfigError;

/// Wrong usage or configuration.
const WRONG_CONFIGURATION: u8 = 2;

#[tokio::main]
async fn main() -> ExitCode {
    // Two providers may be compiled in by dependencies: the choice is made here.
    // An error only says that it was made before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match Cli::parse().run().await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("igstream: {error:#}");
            if error.is::<ConfigError>() {
                ExitCode::from(WRONG_CONFIGURATION)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}
