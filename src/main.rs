//! Reads the command line and runs one command.

use std::process::ExitCode;

use clap::Parser;
use igstream::cli::Cli;
use igstream::config::ConfigError;
use igstream::service::ServiceError;

/// A batch is tens of thousands of small pieces, many of them freed by another thread than made them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Wrong usage or configuration.
const WRONG_CONFIGURATION: u8 = 2;

#[tokio::main]
async fn main() -> ExitCode {
    // Two providers may be compiled in by dependencies: the choice is made here.
    // An error only says that it was made before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // What the commands hold on their way is too much for a stack.
    match Box::pin(Cli::parse().run()).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("igstream: {error:#}");
            if is_of_configuration(&error) {
                ExitCode::from(WRONG_CONFIGURATION)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

/// Whether it is the configuration that asks for what cannot be.
fn is_of_configuration(error: &anyhow::Error) -> bool {
    let service = error.downcast_ref::<ServiceError>();
    error.is::<ConfigError>()
        || matches!(
            service,
            Some(ServiceError::TooLittle(_) | ServiceError::Key(_))
        )
}
