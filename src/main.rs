//! Tries the simulator.
use clap::Parser;

#[derive(Parser)]
#[command(name = "igstream")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    Simulate(igstream::cli::simulate::SimulateArgs),
}

#[tokio::main]
async fn main() -> anyhow::Result<std::process::ExitCode> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let Command::Simulate(args) = Cli::parse().command;
    let secrets: Vec<String> = std::env::var("IGSTREAM__INSTAGRAM__APP_SECRETS")
        .unwrap_or_default()
        .split(',')
        .filter(|secret| !secret.is_empty())
        .map(str::to_owned)
        .collect();
    igstream::cli::simulate::run(&args, &secrets).await
}
