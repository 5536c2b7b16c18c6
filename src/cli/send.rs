//! `igstream send`: signs payload files and posts them, as a person does when trying one payload.

use std::fs;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use chrono::Utc;
use clap::Args;
use url::Url;
use uuid::Uuid;

use super::terminal::printable;
use crate::check::reached_at;
use crate::config::Config;
use crate::instagram::delivery::check_grammar;
use crate::instagram::{Delivery, Event, understand};
use crate::lab::{Reply, Signer, SinglePost};
use crate::receiver::PATH;

const STANDARD_INPUT: &str = "-";

const EXAMPLE: &str = "\
Examples:
  igstream send comment.json
  igstream send tests/fixtures/message/*.json
  echo '{\"object\":\"instagram\",\"entry\":[]}' | igstream send -

A file is signed with the first of instagram.app_secrets and posted as it is, byte for byte, whatever
is in it: what igstream would make of it is only said. Exit code 0: every file was answered 200.";

/// The arguments of `igstream send`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub struct SendArgs {
    /// Payloads, each the body of one delivery; - is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Where the service takes webhooks [default: at server.bind of the configuration]
    #[arg(long, value_name = "URL", value_parser = web_url)]
    url: Option<String>,
}

/// Posts each file, and prints what would become of it and how it was answered.
pub async fn run(args: &SendArgs, config: &Config) -> anyhow::Result<ExitCode> {
    config.require_app_secrets()?;
    let secrets = config.instagram.app_secrets.iter().take(1);
    let secrets: Vec<_> = secrets.map(|secret| secret.expose().to_owned()).collect();
    let url = args.url.clone();
    let url = url.unwrap_or_else(|| webhook_at(config.server.bind));
    let post = SinglePost::new(&url, Signer::new(&secrets)?)?;

    let mut all_accepted = true;
    for file in &args.files {
        match send(&post, file).await {
            Ok(status) => all_accepted &= status == 200,
            Err(error) => {
                all_accepted = false;
                eprintln!("igstream: {}: {error:#}", file.display());
            }
        }
    }
    Ok(if all_accepted {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Returns the status of the answer.
async fn send(post: &SinglePost, file: &Path) -> anyhow::Result<u16> {
    let body = read(file)?;
    let mut out = io::stdout();
    writeln!(out, "{} ({} bytes)", file.display(), body.len())?;
    for line in meaning(&body) {
        writeln!(out, "  {line}")?;
    }
    let Reply { status, body } = post.post(body).await?;
    writeln!(
        out,
        "  answered {status}: {}",
        printable(&String::from_utf8_lossy(&body))
    )?;
    Ok(status)
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    if file == Path::new(STANDARD_INPUT) {
        let mut body = Vec::new();
        io::stdin()
            .read_to_end(&mut body)
            .context("standard input cannot be read")?;
        return Ok(body);
    }
    fs::read(file).context("the file cannot be read; nothing was posted of it")
}

/// What igstream makes of a body, a line an event.
fn meaning(body: &[u8]) -> Vec<String> {
    if body.is_empty() {
        return vec!["warning: it is empty".to_owned()];
    }
    if let Err(error) = check_grammar(body) {
        return vec![format!("warning: {error}")];
    }
    let delivery = Delivery {
        id: Uuid::now_v7(),
        received_at: Utc::now(),
        signature: String::new(),
        secret_id: String::new(),
        body: body.to_vec().into(),
    };
    let events = understand(&delivery);
    if events.is_empty() {
        return vec!["no events: it has no items".to_owned()];
    }
    events.iter().map(line).collect()
}

fn line(event: &Event) -> String {
    let place = printable(&event.place);
    match event.malformed() {
        Some(reason) => format!("{place}: malformed, would be a dead letter: {reason}"),
        None => format!("{place}: {} {}", event.event_type, event.event_id),
    }
}

fn web_url(given: &str) -> Result<String, String> {
    match Url::parse(given) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(given.to_owned()),
        _ => Err(format!("give a URL such as http://127.0.0.1:8080{PATH}")),
    }
}

/// Where this machine reaches a service that listens on `bind`.
fn webhook_at(bind: SocketAddr) -> String {
    format!("http://{}{PATH}", reached_at(bind))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_address_is_one_that_can_be_reached() {
        for (bind, url) in [
            ("0.0.0.0:80", "http://127.0.0.1:80/api/instagram/webhooks"),
            ("[::]:8080", "http://[::1]:8080/api/instagram/webhooks"),
            ("10.0.0.7:1", "http://10.0.0.7:1/api/instagram/webhooks"),
        ] {
            assert_eq!(webhook_at(bind.parse().unwrap()), url);
        }
    }
}
