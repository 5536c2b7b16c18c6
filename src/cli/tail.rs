//! `igstream tail`: events as they are stored, one a line.

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;
use std::time::Duration;

use async_nats::jetstream::Message;
use chrono::{TimeDelta, Utc};
use clap::Args;
use clap::builder::PossibleValuesParser;
use clap::builder::styling::{AnsiColor, Style};
use serde::Deserialize;
use tokio::signal::unix::{SignalKind, signal};

use super::account_id::account_id;
use super::terminal::{has_colour, printable};
use crate::config::Config;
use crate::instagram::types;
use crate::service::attach;
use crate::stream::Connection;
use crate::stream::names::{Announcement, DEAD_LETTERS, STORED};
use crate::stream::tail::{Portion, Start, Tail};

const EXAMPLE: &str = "\
Examples:
  igstream tail
  igstream tail --since 1h --type comment,mention --account 17841405822304914
  igstream tail --dead --json | jq .error

It needs a service that runs, or ran, at the same NATS (a nats-server of its own that does not run is
started for as long); it takes nothing from anybody, and goes on until
Ctrl-C. On a terminal the types have colours, unless NO_COLOR is set.";

/// The arguments of `igstream tail`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub struct TailArgs {
    /// Only these types, comma separated
    #[arg(long = "type", value_name = "TYPE", value_delimiter = ',', value_parser = type_names())]
    types: Vec<String>,
    /// Only this account, by its Instagram id
    #[arg(long, value_name = "ID", value_parser = account_id)]
    account: Option<String>,
    /// Begin with what was stored in the last so long, such as 90s, 15m or 2days
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    since: Option<Duration>,
    /// Dead letters, what failed for good, instead of what was stored
    #[arg(long)]
    dead: bool,
    /// Each message whole, as one line of JSON
    #[arg(long)]
    json: bool,
}

/// Prints events until Ctrl-C, SIGTERM, or whoever reads them goes away.
pub async fn run(args: &TailArgs, config: &Config) -> anyhow::Result<ExitCode> {
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    let asked_to_stop = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    let nats = attach(config).await?;
    let printed = tokio::select! {
        printed = follow(args, &nats) => printed,
        () = asked_to_stop => Ok(()),
    };
    nats.close().await;
    printed.map(|()| ExitCode::SUCCESS)
}

async fn follow(args: &TailArgs, connection: &Connection) -> anyhow::Result<()> {
    let (stream, _) = source(args);
    let subjects = subjects(args);
    tracing::debug!(?subjects, "asked for");
    let mut tail = Tail::start(connection, stream, subjects, start(args), Portion::LARGE).await?;
    tracing::info!(stream, "following");
    let line = if args.json { whole } else { summary };
    let coloured = has_colour();
    loop {
        let messages = tail.next().await;
        let text: String = messages
            .iter()
            .map(|message| line(message, coloured) + "\n")
            .collect();
        let mut out = io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            // `igstream tail | head` has seen enough.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
            written => written?,
        }
    }
}

fn source(args: &TailArgs) -> (&'static str, Announcement) {
    if args.dead {
        (DEAD_LETTERS, Announcement::DeadLetter)
    } else {
        (STORED, Announcement::Stored)
    }
}

fn subjects(args: &TailArgs) -> Vec<String> {
    let (_, announcement) = source(args);
    let account = args.account.as_deref();
    if args.types.is_empty() {
        return vec![announcement.filter(None, account)];
    }
    let mut types: Vec<&str> = args.types.iter().map(String::as_str).collect();
    types.sort_unstable();
    types.dedup();
    types
        .into_iter()
        .map(|event_type| announcement.filter(Some(event_type), account))
        .collect()
}

fn start(args: &TailArgs) -> Start {
    let Some(since) = args.since else {
        return Start::New;
    };
    let back = TimeDelta::from_std(since).unwrap_or(TimeDelta::MAX);
    let from = Utc::now().checked_sub_signed(back);
    // The server's clock counts from 1970 too.
    Start::Since(from.map_or(chrono::DateTime::UNIX_EPOCH, |from| {
        from.max(chrono::DateTime::UNIX_EPOCH)
    }))
}

fn type_names() -> PossibleValuesParser {
    PossibleValuesParser::new(types::with_unknown().map(|event_type| event_type.name))
}

/// What of a message stands in its line.
#[derive(Deserialize)]
struct Told {
    event_type: String,
    event_id: String,
    ig_account_id: String,
    sender_ig_id: Option<String>,
    sender_username: Option<String>,
    occurred_at: String,
    #[serde(default)]
    rows: Vec<Row>,
    error: Option<String>,
    attempts: Option<u32>,
}

#[derive(Deserialize)]
struct Row {
    table: String,
    id: String,
}

/// A line break in JSON's grammar is a blank, and in its texts there is none.
fn whole(message: &Message, _coloured: bool) -> String {
    String::from_utf8_lossy(&message.payload).replace(['\n', '\r'], " ")
}

fn summary(message: &Message, coloured: bool) -> String {
    match serde_json::from_slice::<Told>(&message.payload) {
        Ok(told) => told.line(coloured),
        Err(error) => format!("{}: no event: {error}", printable(&message.subject)),
    }
}

impl Told {
    fn line(&self, coloured: bool) -> String {
        let style = if coloured {
            style_of(&self.event_type)
        } else {
            Style::new()
        };
        let name = format!("{:<19}", printable(&self.event_type));
        let sender = self.sender_username.as_ref().or(self.sender_ig_id.as_ref());
        let sender = sender.map_or("-".to_owned(), |sender| printable(sender));
        format!(
            "{} {style}{name}{style:#} {} {} from {sender} → {}",
            printable(&self.occurred_at),
            printable(&self.ig_account_id),
            printable(&self.event_id),
            self.end()
        )
    }

    /// What became of it.
    fn end(&self) -> String {
        if let Some(error) = &self.error {
            let attempts = self.attempts.unwrap_or(0);
            return format!("dead after {attempts} attempts: {}", printable(error));
        }
        let rows = self.rows.iter();
        let rows: Vec<_> = rows
            .map(|row| format!("{}/{}", printable(&row.table), printable(&row.id)))
            .collect();
        if rows.is_empty() {
            "the generic log".to_owned()
        } else {
            rows.join(", ")
        }
    }
}

/// Each type has its own.
fn style_of(event_type: &str) -> Style {
    const COLOURS: [AnsiColor; 10] = [
        AnsiColor::Green,
        AnsiColor::BrightGreen,
        AnsiColor::Yellow,
        AnsiColor::BrightYellow,
        AnsiColor::Cyan,
        AnsiColor::Magenta,
        AnsiColor::Blue,
        AnsiColor::BrightBlue,
        AnsiColor::BrightMagenta,
        AnsiColor::Red,
    ];
    let place = types::with_unknown().position(|known| known.name == event_type);
    let colour = place.and_then(|place| COLOURS.get(place));
    colour.map_or(Style::new(), |colour| colour.on_default())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn told(body: &serde_json::Value) -> Told {
        serde_json::from_value(body.clone()).unwrap()
    }

    #[test]
    fn a_line_says_what_happened_and_what_became_of_it() {
        let mut body = serde_json::json!({
            "event_type": "comment", "event_id": "comment_1_2", "ig_account_id": "3", "sender_ig_id": "2",
            "sender_username": "ann\u{1b}[2J", "occurred_at": "2026-11-24T16:00:00.000000Z",
            "rows": [{"table": "instagram_comments", "id": "1"}], "raw": {},
        });
        assert_eq!(
            told(&body).line(false),
            "2026-11-24T16:00:00.000000Z comment             3 comment_1_2 from ann\\u{1b}[2J → instagram_comments/1"
        );
        assert!(told(&body).line(true).contains("\u{1b}[32mcomment "));
        body["rows"].take();
        body["rows"] = serde_json::json!([]);
        body["error"] = "it is malformed".into();
        body["attempts"] = 3.into();
        let dead = told(&body).line(false);
        assert!(
            dead.ends_with("dead after 3 attempts: it is malformed"),
            "{dead}"
        );
    }

    #[test]
    fn every_type_has_a_colour_of_its_own() {
        let mut styles: Vec<_> = types::with_unknown()
            .map(|event_type| style_of(event_type.name).render().to_string())
            .collect();
        styles.sort();
        styles.dedup();
        assert_eq!(styles.len(), types::with_unknown().count());
        assert!(styles.iter().all(|style| !style.is_empty()));
    }
}
