//! `igstream check`: could the service start?

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use clap::builder::styling::{AnsiColor, Style};

use super::terminal::{has_colour, printable};
use crate::check::{Finding, Report, State, check};
use crate::config::Config;

const EXAMPLE: &str = "\
Examples:
  igstream --config production.toml check
  igstream check --json

It looks at everything that `igstream serve` needs, and changes nothing. Exit codes: 0 the service could
start (or runs), 1 it could not, 2 the configuration has to be mended.";

/// The arguments of `igstream check`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub struct CheckArgs {
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Looks at everything, and prints what it found.
pub async fn run(args: &CheckArgs, file: Option<&Path>) -> anyhow::Result<ExitCode> {
    let report = match Config::load(file, false) {
        Ok(config) => check(&config).await,
        Err(error) => Report::misconfigured(&error),
    };
    let text = if args.json {
        serde_json::to_string_pretty(&report)? + "\n"
    } else {
        table(&report)
    };
    io::stdout().write_all(text.as_bytes())?;
    Ok(match report.state() {
        State::Good | State::Note => ExitCode::SUCCESS,
        State::Wrong => ExitCode::FAILURE,
        State::Misconfigured => ExitCode::from(2),
    })
}

fn table(report: &Report) -> String {
    let coloured = has_colour();
    let mut text: String = report
        .findings
        .iter()
        .map(|finding| line(finding, coloured))
        .collect();
    text += if report.could_start {
        "\nThe service can start.\n"
    } else {
        "\nThe service cannot start: mend what is marked ✗.\n"
    };
    text
}

fn line(finding: &Finding, coloured: bool) -> String {
    let (mark, colour) = match finding.state {
        State::Good => ("✓", AnsiColor::Green),
        State::Note => ("!", AnsiColor::Yellow),
        State::Wrong | State::Misconfigured => ("✗", AnsiColor::Red),
    };
    let style = if coloured {
        colour.on_default()
    } else {
        Style::new()
    };
    let what = finding.what;
    format!(
        "{style}{mark}{style:#} {what:<16} {}\n",
        printable(&finding.found)
    )
}
