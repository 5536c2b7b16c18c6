//! `igstream audit`: whether what was received and what is stored add up.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use comfy_table::{CellAlignment, Table, presets};

use super::terminal::printable;
use crate::audit::{self, Counts, Deep, Difference, Ledger, Sources, Waiting, Wrong};
use crate::config::Config;
use crate::service::{Attached, attach, store_options, stream_settings};
use crate::store::Store;
use crate::stream::topology::Topology;

const EXAMPLE: &str = "\
Examples:
  igstream audit
  igstream audit --deep --json

Receipts = rows + missing, for each type up to where its handler has acknowledged; the rest is in flight. It
reads the streams and the database alone, changes nothing, and may run while the service does. Exit 0: the
books balance; 1: they do not, and it says what to do, or no ledger could be drawn up.";

/// The arguments of `igstream audit`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub struct AuditArgs {
    /// Begin at the journal: understand each delivery in it afresh, and look for its items one by one
    #[arg(long)]
    deep: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub async fn run(args: &AuditArgs, config: &Config) -> anyhow::Result<ExitCode> {
    let url = config.database.url.url_without_credentials();
    let store = Store::connect_to_read(&store_options(config))
        .await
        .with_context(|| format!("the database at {url} (`database.url`) cannot be reached"))?;
    let nats = attach(config).await?;
    let ledger = draw_up(args, config, &store, &nats).await;
    nats.close().await;
    let ledger = match ledger {
        Ok(ledger) => ledger,
        Err(error) => return Err(error.context(why_none(&store).await)),
    };
    if args.json {
        println!("{}", serde_json::to_string_pretty(&ledger)?);
    } else {
        print!("{}", text(&ledger));
    }
    if ledger.balances {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("igstream: {}", mend(&ledger, args.deep));
    Ok(ExitCode::FAILURE)
}

async fn draw_up(
    args: &AuditArgs,
    config: &Config,
    store: &Store,
    nats: &Attached,
) -> anyhow::Result<Ledger> {
    let sources = Sources {
        context: &nats.consume,
        topology: &Topology::new(stream_settings(config))?,
        store,
        keep: config.stream.keep(),
    };
    Ok(audit::audit(&sources, args.deep).await?)
}

async fn why_none(store: &Store) -> &'static str {
    let schema = migration::status(store.database()).await;
    if schema.is_ok_and(|migrations| migrations.iter().any(|state| !state.applied)) {
        return "the database's schema is not there, or not up to date: start the service, or run `igstream migrate up`";
    }
    "no ledger could be drawn up; this says nothing about whether the books balance"
}

fn text(ledger: &Ledger) -> String {
    let mut parts = vec![table(ledger), String::new(), journal(&ledger.journal)];
    parts.extend(ledger.deep.as_ref().map(compared));
    parts.push(String::new());
    if !ledger.differences.is_empty() {
        parts.push(differences(&ledger.differences));
    }
    if ledger.unnamed > 0 {
        parts.push(format!("and {} more", ledger.unnamed));
    }
    if ledger.balances {
        parts.push("The books balance.".to_owned());
    }
    parts.join("\n") + "\n"
}

fn table(ledger: &Ledger) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header([
        "TYPE",
        "MESSAGES",
        "RECEIPTS",
        "STORED",
        "DUPLICATE",
        "RETRYING",
        "DEAD",
        "UNASSIGNED",
        "DISCARDED",
        "MISSING",
        "SURPLUS",
        "IN FLIGHT",
    ]);
    for of_type in &ledger.types {
        table.add_row(line(of_type.event_type, &of_type.counts));
    }
    table.add_row(line("all", &ledger.total));
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.trim_fmt()
}

fn line(name: &str, counts: &Counts) -> Vec<String> {
    let rows = &counts.rows;
    let numbers = [
        counts.messages,
        counts.receipts,
        rows.stored,
        rows.duplicate,
        rows.retrying,
        rows.dead,
        rows.unassigned,
        rows.discarded,
        counts.missing,
        counts.surplus,
        counts.in_flight,
    ];
    let numbers = numbers.iter().map(ToString::to_string);
    std::iter::once(name.to_owned()).chain(numbers).collect()
}

fn journal(waiting: &Waiting) -> String {
    let Waiting {
        messages,
        deliveries,
        unreadable,
    } = waiting;
    let line =
        format!("journal: {deliveries} deliveries in {messages} messages wait to be published");
    line + &unread(*unreadable)
}

fn compared(deep: &Deep) -> String {
    let Deep {
        deliveries,
        items,
        with_row,
        in_flight,
        left_out,
        missing,
        lost,
        unreadable,
    } = deep;
    let line = format!(
        "journal, understood afresh: {deliveries} deliveries, {items} items: {with_row} have a row, \
         {in_flight} are in flight, {left_out} left out, {missing} missing, {lost} lost"
    );
    line + &unread(*unreadable)
}

fn unread(messages: u64) -> String {
    match messages {
        0 => String::new(),
        _ => format!("; {messages} messages cannot be read by this igstream"),
    }
}

fn differences(differences: &[Difference]) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_header(["WRONG", "RECEIPT", "TYPE", "ACCOUNT", "EVENT", "DELIVERY"]);
    let id = |id: Option<uuid::Uuid>| id.map_or("-".to_owned(), |id| id.to_string());
    for difference in differences {
        table.add_row([
            wrong(difference.wrong).to_owned(),
            id(difference.receipt),
            printable(&difference.event_type),
            printable(&difference.ig_account_id),
            printable(&difference.event_id),
            id(difference.delivery_id),
        ]);
    }
    table.trim_fmt()
}

fn wrong(wrong: Wrong) -> &'static str {
    match wrong {
        Wrong::Missing => "missing: no row",
        Wrong::Surplus => "surplus: no message",
        Wrong::Lost => "lost: neither message nor row",
    }
}

/// What is wrong, and what to do.
fn mend(ledger: &Ledger, deep: bool) -> String {
    let mut faults = Vec::new();
    let (total, lost) = (&ledger.total, ledger.deep.as_ref());
    let missing = total.missing.max(lost.map_or(0, |deep| deep.missing));
    if missing > 0 {
        faults.push(format!(
            "{missing} receipts have no row: rows were deleted, or the database is an older one"
        ));
    }
    let lost_items = lost.map_or(0, |deep| deep.lost);
    if lost_items > 0 {
        faults.push(format!(
            "{lost_items} items of the journal have neither message nor row"
        ));
    }
    if missing + lost_items > 0 {
        faults.push(
            "`igstream replay --all --from-deliveries` brings back what the journal still has"
                .to_owned(),
        );
    }
    if total.surplus > 0 {
        faults.push(format!(
            "{} rows have no message: messages were removed from INSTAGRAM_EVENTS, or rows were made by \
             somebody else; nothing of theirs is lost",
            total.surplus
        ));
    }
    if let Some(unreadable) = lost.map(|deep| deep.unreadable).filter(|count| *count > 0) {
        faults.push(format!(
            "{unreadable} messages of the journal cannot be read: run the igstream that wrote them"
        ));
    }
    let next = if deep {
        "docs/operation.md, \"The ledger\", says how to mend it"
    } else {
        "`igstream audit --deep` looks for the items in the journal too; docs/operation.md, \"The ledger\", says how to mend it"
    };
    format!("the books do not balance: {}; {next}", faults.join("; "))
}
