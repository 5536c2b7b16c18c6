//! `igstream openapi`: the document of the management API.

use std::process::ExitCode;

use clap::Args;

use crate::api;

/// The arguments of `igstream openapi`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  igstream openapi > openapi.json")]
pub struct OpenapiArgs {}

/// Prints it. Needs no configuration.
pub fn run(_: &OpenapiArgs) -> anyhow::Result<ExitCode> {
    println!("{}", api::document().to_pretty_json()?);
    Ok(ExitCode::SUCCESS)
}
