//! `igstream replay`: stored events are processed again.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::ExitCode;

use chrono::{DateTime, TimeDelta, Utc};
use clap::Args;
use clap::builder::PossibleValuesParser;
use clap::error::ErrorKind;
use comfy_table::{Table, presets};
use serde_json::Value;

use super::account_id::account_id;
use super::connect;
use super::terminal::printable;
use crate::config::Config;
use crate::instagram::time::canonical;
use crate::instagram::types;
use crate::replay::{Ask, Changes, Deliveries, Report, from_deliveries, from_log};
use crate::service::{app_secrets, attach, stream_settings};
use crate::store::preview::Difference;
use crate::store::replayable::{Left, Replayable};
use crate::stream::topology::Topology;

/// What a line shows of a value.
const LONGEST_VALUE: usize = 60;

const EXAMPLE: &str = "\
Examples:
  igstream replay --type comment --from 2days --dry-run
  igstream replay --type comment --from 2026-11-20T00:00:00Z --to 2026-11-21T00:00:00Z
  igstream replay --account 17841405822304914 --from-deliveries

A TIME is when an event was received: RFC 3339, or so long ago, such as 90s, 15m or 2days. The running
service does the work: events that are stored have their typed rows written again, what waits or is dead
is tried again, and nothing is told twice. With --from-deliveries what Instagram posted is read again
from the journal, which has the last stream.keep_days; events that have no row are
published then. Repeating a replay does no harm.";

/// The arguments of `igstream replay`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub struct ReplayArgs {
    #[command(flatten)]
    which: Which,
    /// From the deliveries in the journal instead of the generic log
    #[arg(long)]
    from_deliveries: bool,
    /// Change nothing: tell how many would go, and what that would change
    #[arg(long)]
    dry_run: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Which {
    /// Only events of this type
    #[arg(long = "type", value_name = "TYPE", value_parser = type_names())]
    event_type: Option<String>,
    /// Only events of this account, by its Instagram id
    #[arg(long, value_name = "ID", value_parser = account_id)]
    account: Option<String>,
    /// Only events received then or later
    #[arg(long, value_name = "TIME", value_parser = time)]
    from: Option<DateTime<Utc>>,
    /// Only events received then or earlier
    #[arg(long, value_name = "TIME", value_parser = time)]
    to: Option<DateTime<Utc>>,
    /// All there are, where nothing else says which
    #[arg(long)]
    all: bool,
}

fn type_names() -> PossibleValuesParser {
    PossibleValuesParser::new(types::with_unknown().map(|event_type| event_type.name))
}

fn time(given: &str) -> Result<DateTime<Utc>, String> {
    if let Ok(time) = DateTime::parse_from_rfc3339(given) {
        return Ok(time.to_utc());
    }
    humantime::parse_duration(given)
        .ok()
        .and_then(|back| TimeDelta::from_std(back).ok())
        .and_then(|back| Utc::now().checked_sub_signed(back))
        .ok_or_else(|| {
            "neither a time such as 2026-11-24T16:00:00Z nor so long ago, such as 90s, 15m or 2days"
                .to_owned()
        })
}

impl Which {
    /// What changes something has to be told what; anything less is wrong usage.
    fn named(&self) -> Replayable {
        let which = Replayable {
            event_type: self.event_type.clone(),
            ig_account_id: self.account.clone(),
            from: self.from,
            to: self.to,
        };
        let is_said = which.event_type.is_some()
            || which.ig_account_id.is_some()
            || which.from.is_some()
            || which.to.is_some();
        if !is_said && !self.all {
            wrong(
                ErrorKind::MissingRequiredArgument,
                "say which: --type, --account, --from, --to, or --all\n",
            );
        }
        if let (Some(from), Some(to)) = (which.from, which.to)
            && from > to
        {
            wrong(
                ErrorKind::ValueValidation,
                "--from is later than --to: nothing can lie between them\n",
            );
        }
        which
    }
}

fn wrong(kind: ErrorKind, what: &str) -> ! {
    clap::Error::raw(kind, what).exit()
}

/// Runs the command.
pub async fn run(args: &ReplayArgs, config: &Config) -> anyhow::Result<ExitCode> {
    let which = args.which.named();
    let store = connect(config).await?;
    let connection = attach(config).await?;
    let ask = Ask {
        store: &store,
        connection: &connection,
        which,
        dry_run: args.dry_run,
        rows_stay_days: config.retention.processed_days,
    };
    let replayed = if args.from_deliveries {
        let topology = Topology::new(stream_settings(config))?;
        from_deliveries(&ask, &app_secrets(config), &topology).await
    } else {
        from_log(&ask).await
    };
    connection.close().await;
    let report = replayed?;
    println!(
        "{}",
        if args.json {
            serde_json::to_string_pretty(&report)?
        } else {
            text(&report)?
        }
    );
    Ok(if report.is_whole() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn text(report: &Report) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    if let Some(deliveries) = &report.deliveries {
        write_deliveries(&mut text, deliveries)?;
    }
    let (sent, published) = if report.dry_run {
        (
            "would be sent to their handlers once more",
            "have no row, and would be published",
        )
    } else {
        (
            "sent to their handlers once more",
            "had no row, and were published",
        )
    };
    write_counts(&mut text, &report.sent, sent)?;
    if !report.published.is_empty() {
        write_counts(&mut text, &report.published, published)?;
    }
    for (left, number) in &report.left {
        writeln!(text, "{number} left alone: {}", why(*left))?;
    }
    if let Some(before) = report.may_lack_before {
        writeln!(
            text,
            "Of what was received before {} rows may be gone (retention.processed_days): their typed rows stay as they are",
            canonical(before)
        )?;
    }
    if let Some(changes) = &report.changes {
        write_changes(&mut text, changes)?;
    }
    Ok(text.trim_end().to_owned())
}

fn write_counts(text: &mut String, counts: &BTreeMap<String, u64>, what: &str) -> std::fmt::Result {
    writeln!(text, "{} {what}", counts.values().sum::<u64>())?;
    for (event_type, number) in counts {
        writeln!(text, "  {event_type} {number}")?;
    }
    Ok(())
}

fn write_deliveries(text: &mut String, deliveries: &Deliveries) -> std::fmt::Result {
    writeln!(text, "{} deliveries read from the journal", deliveries.read)?;
    if deliveries.unchecked > 0 {
        writeln!(
            text,
            "{} taken unchecked: the secret that made their signature is not configured any more",
            deliveries.unchecked
        )?;
    }
    if deliveries.refused > 0 {
        writeln!(
            text,
            "{} refused: their signature does not hold, so somebody else changed the journal, or its disk did",
            deliveries.refused
        )?;
        for delivery_id in &deliveries.refused_ids {
            writeln!(text, "  delivery {delivery_id}")?;
        }
    }
    if deliveries.unreadable_messages > 0 {
        writeln!(
            text,
            "{} messages of the journal passed over, which this igstream cannot read: the log says which and why",
            deliveries.unreadable_messages
        )?;
    }
    Ok(())
}

fn why(left: Left) -> &'static str {
    match left {
        Left::Duplicate => "Instagram had told them before, and the first telling has the rows",
        Left::Malformed => "a malformed item is the same again",
        Left::Discarded => "an operator gave them up",
        Left::Blanked => "nothing is left of the item, as of what a person unsent",
        Left::Unknown => "of none of the types, they have no typed row",
        Left::OnlyInJournal => {
            "the item was too large for a message and only the journal has it: --from-deliveries"
        }
        Left::NotUnderstood => "this igstream makes nothing of them as events of their type",
        Left::WithoutAccount => "the row of their account was deleted",
        Left::Erased => "their account was erased",
        Left::InFlight => {
            "they have no row yet and their handler is behind: run the replay again once it is not"
        }
    }
}

fn write_changes(text: &mut String, changes: &Changes) -> std::fmt::Result {
    if changes.refused > 0 {
        writeln!(
            text,
            "{} would be refused by the database: the log says which and why",
            changes.refused
        )?;
    }
    if changes.by_column.is_empty() {
        return writeln!(text, "Nothing would change in the typed rows.");
    }
    writeln!(text, "\nWhat would change in the typed rows:\n")?;
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_header(["TABLE", "ID", "COLUMN", "OLD", "NEW"]);
    for difference in &changes.shown {
        table.add_row(line(difference));
    }
    writeln!(text, "{}\n", table.trim_fmt())?;
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_header(["TABLE", "COLUMN", "ROWS"]);
    for (name, columns) in &changes.by_column {
        for (column, rows) in columns {
            table.add_row([(*name).to_owned(), (*column).to_owned(), rows.to_string()]);
        }
    }
    writeln!(text, "{}", table.trim_fmt())
}

fn line(difference: &Difference) -> [String; 5] {
    [
        difference.table.to_owned(),
        printable(&difference.id),
        difference.column.unwrap_or("row").to_owned(),
        value(&difference.old),
        value(&difference.new),
    ]
}

fn value(value: &Value) -> String {
    let text: String = value.to_string().chars().take(LONGEST_VALUE).collect();
    printable(&text)
}
