//! `igstream simulate`: plays Instagram against a running service.

use std::{
    io::{self, Write},
    ops::RangeInclusive,
    path::PathBuf,
    process::ExitCode,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use clap::{Args, builder::PossibleValuesParser, builder::TypedValueParser};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};

use crate::lab::{End, Kind, Ledger, Play, Signer, Stop, Summary, Traffic, TrafficPlan, play};

const EXAMPLE: &str = "\
Example:
  igstream simulate --rate 200 --count 5000 --types comment,message --ledger sent.ndjson

The accounts are the same in every run: the first is 17841405822304914, and now and then comes a sample
of the dashboard's test button, whose account is 0. A service that does not register accounts by itself
keeps the events of unknown ones unassigned. With the same --seed and
--start the same bytes are sent again, so a second run is all duplicates.

Ctrl-C ends a run at once. SIGTERM ends it when all that it has sent is answered for good.";

/// Play Instagram: sign and post realistic deliveries of all types to a running service
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLE)]
pub struct SimulateArgs {
    /// Where the service takes webhooks
    #[arg(
        long,
        default_value = "http://127.0.0.1:8080/api/instagram/webhooks",
        value_name = "URL"
    )]
    pub url: String,

    /// Deliveries a second, now and then in bursts; 0 = as fast as they are taken
    #[arg(long, default_value = "50", value_parser = rate)]
    pub rate: f64,

    /// How many deliveries to send
    #[arg(long, default_value_t = 1_000, conflicts_with = "duration")]
    pub count: u64,

    /// Send for so many seconds instead
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub duration: Option<Duration>,

    /// Only these types, comma separated [default: all nine and unknown, mostly messages, receipts, comments]
    #[arg(
        long,
        value_delimiter = ',',
        value_parser = kinds(),
        hide_default_value = true
    )]
    pub types: Vec<Kind>,

    /// How many accounts the events are about
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub accounts: u16,

    /// Items a delivery: a number, or a range like 1-3
    #[arg(long, default_value = "1-3", value_name = "N|A-B", value_parser = batch)]
    pub batch: RangeInclusive<usize>,

    /// Makes the run repeatable [default: random]
    #[arg(long)]
    pub seed: Option<u64>,

    /// When the first event happens, in milliseconds since 1970 [default: now]
    #[arg(long, value_name = "MILLISECONDS")]
    pub start: Option<u64>,

    /// Percent of the deliveries that tell an earlier one again; 0: no event is told twice
    #[arg(long, default_value = "5", value_name = "PERCENT", value_parser = percent)]
    pub duplicates: f64,

    /// Percent of the deliveries that must not be accepted, or have an item that must end dead
    #[arg(long, default_value = "1", value_name = "PERCENT", value_parser = percent)]
    pub invalid: f64,

    /// At most so many deliveries under way at once
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=4_096))]
    pub connections: u16,

    /// For so long a delivery is posted again after a 5xx or no answer, before it counts as failed
    #[arg(long, default_value = "30", value_name = "SECONDS", value_parser = seconds)]
    pub patience: Duration,

    /// Write what was sent to this file, one JSON object a line and event
    #[arg(long, value_name = "FILE")]
    pub ledger: Option<PathBuf>,

    /// Print the summary as JSON
    #[arg(long)]
    pub json: bool,
}

/// The summary, and what makes the run repeatable.
#[derive(Serialize)]
struct Report {
    seed: u64,
    start: u64,
    #[serde(flatten)]
    summary: Summary,
}

/// Plays Instagram against the service at `args.url`, signing with `secrets` in turn, and prints
/// what came of it. Exit code 1 if a delivery failed for good or was answered otherwise than it
/// must be.
///
/// # Errors
/// If the run cannot be started or recorded; [`NoSecret`](crate::lab::signer::NoSecret) if there
/// is nothing to sign with.
pub async fn run(args: &SimulateArgs, secrets: &[String]) -> anyhow::Result<ExitCode> {
    let signer = Signer::new(secrets)?;
    let ledger = args.ledger.as_deref().map(Ledger::create).transpose()?;
    let plan = plan(args);
    let (seed, start) = (plan.seed, plan.start_ms);
    eprintln!("seed {seed}, start {start}");
    let bar = progress_bar(args);
    let on_answer = {
        let bar = bar.clone();
        move || bar.inc(1)
    };
    let playing = play(
        Traffic::new(plan),
        signer,
        how(args),
        ledger,
        stopped()?,
        on_answer,
    );
    let summary = playing.await?;
    bar.finish_and_clear();
    let is_good = summary.is_good();
    print(
        args,
        &Report {
            seed,
            start,
            summary,
        },
    )?;
    Ok(if is_good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// How somebody ends the run.
fn stopped() -> io::Result<impl Future<Output = Stop>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => Stop::AtOnce,
            _ = terminate.recv() => Stop::WhenAnswered,
        }
    })
}

fn plan(args: &SimulateArgs) -> TrafficPlan {
    TrafficPlan {
        seed: args.seed.unwrap_or_else(rand::random),
        start_ms: args.start.unwrap_or_else(now_ms),
        step_micros: step_micros(args.rate),
        kinds: args.types.clone(),
        accounts: usize::from(args.accounts),
        batch: args.batch.clone(),
        duplicates: args.duplicates,
        invalid: args.invalid,
    }
}

fn how(args: &SimulateArgs) -> Play {
    Play {
        url: args.url.clone(),
        rate: args.rate,
        end: args.duration.map_or(End::Count(args.count), End::After),
        connections: usize::from(args.connections),
        patience: args.patience,
    }
}

fn now_ms() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
    since_1970.map_or(0, |time| u64::try_from(time.as_millis()).unwrap_or(0))
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a rate is in 0.001..1e6
fn step_micros(rate: f64) -> u64 {
    if rate > 0.0 {
        (1_000_000.0 / rate) as u64
    } else {
        // Events may seem older than they are, but never lie in the future.
        20
    }
}

fn progress_bar(args: &SimulateArgs) -> ProgressBar {
    let (bar, template) = if args.duration.is_some() {
        (
            ProgressBar::no_length(),
            "{spinner} {pos} deliveries, {per_sec}, {elapsed}",
        )
    } else {
        (
            ProgressBar::new(args.count),
            "{wide_bar} {pos}/{len} deliveries, {per_sec}, {eta} left",
        )
    };
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn print(args: &SimulateArgs, report: &Report) -> anyhow::Result<()> {
    let summary = &report.summary;
    let text = if args.json {
        serde_json::to_string_pretty(report)?
    } else {
        summary.to_string()
    };
    writeln!(std::io::stdout(), "{text}")?;
    for remark in remarks(args, summary) {
        eprintln!("{remark}");
    }
    Ok(())
}

/// What a person should know beside the figures.
fn remarks(args: &SimulateArgs, summary: &Summary) -> Vec<String> {
    let mut remarks = summary.complaints.clone();
    if remarks.iter().any(|remark| remark.contains("answered 401")) {
        let mend = "instagram.app_secrets must hold the secrets that the service has";
        remarks.push(format!("signatures were refused: {mend}"));
    }
    if let Some(reason) = &summary.stopped {
        remarks.push(format!("stopped: {reason}"));
    } else if summary.deliveries_per_second < args.rate * 0.95 {
        let mend = "the service is slower, or needs more --connections to be kept busy";
        remarks.push(format!("the rate asked for was not reached: {mend}"));
    }
    remarks
}

fn kinds() -> impl TypedValueParser<Value = Kind> {
    PossibleValuesParser::new(Kind::ALL.map(Kind::name)).try_map(|name| {
        Kind::from_name(&name)
            .ok_or_else(|| format!("{name} is neither one of the nine types nor unknown"))
    })
}

fn rate(text: &str) -> Result<f64, String> {
    within(text, 0.001..=1_000_000.0, "deliveries a second").or_else(|error| {
        if text.parse() == Ok(0.0) {
            Ok(0.0)
        } else {
            Err(format!("{error}, or 0 for as fast as they are taken"))
        }
    })
}

fn percent(text: &str) -> Result<f64, String> {
    within(text, 0.0..=100.0, "percent")
}

fn seconds(text: &str) -> Result<Duration, String> {
    within(text, 0.0..=31_536_000.0, "seconds").map(Duration::from_secs_f64)
}

fn within(text: &str, range: RangeInclusive<f64>, unit: &str) -> Result<f64, String> {
    let (least, most) = (range.start(), range.end());
    match text.parse::<f64>() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => Err(format!("give a number of {unit} from {least} to {most}")),
    }
}

fn batch(text: &str) -> Result<RangeInclusive<usize>, String> {
    let (least, most) = text.split_once('-').unwrap_or((text, text));
    match (least.parse(), most.parse()) {
        // Instagram puts at most 1,000 updates into a delivery.
        (Ok(least), Ok(most)) if 1 <= least && least <= most && most <= 1_000 => Ok(least..=most),
        _ => Err("give a number from 1 to 1000, or a range of them like 1-3".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        args: SimulateArgs,
    }

    fn parse(arguments: &str) -> Result<SimulateArgs, String> {
        let words = std::iter::once("simulate").chain(arguments.split_whitespace());
        Cli::try_parse_from(words)
            .map(|cli| cli.args)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn an_unknown_type_is_answered_with_the_nine() {
        let error = parse("--types comment,follow").unwrap_err();
        for kind in Kind::ALL {
            assert!(error.contains(kind.name()), "{error}");
        }
    }

    #[test]
    fn types_and_batches_are_read() {
        let args = parse("--types comment,story_mention --batch 2-5 --rate 0").unwrap();
        assert_eq!(args.types, [Kind::Comment, Kind::StoryMention]);
        assert_eq!(args.batch, 2..=5);
        assert_eq!(parse("--batch 4").unwrap().batch, 4..=4);
        assert_eq!(parse("").unwrap().batch, 1..=3);
    }

    #[test]
    fn values_out_of_range_are_refused() {
        for wrong in [
            "--batch 0",
            "--batch 3-1",
            "--rate -1",
            "--rate NaN",
            "--duplicates 101",
            "--invalid -1",
            "--connections 0",
            "--accounts 0",
            "--duration inf",
            "--count 5 --duration 5",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn without_a_secret_nothing_is_sent() {
        let error = run(&parse("").unwrap(), &[]).await.unwrap_err();
        assert!(error.to_string().contains("instagram.app_secrets"));
        assert!(error.is::<crate::lab::signer::NoSecret>());
    }
}
