//! The table: what was measured, against what, and whether that is as it should be.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Result;
use comfy_table::Table;
use comfy_table::presets::ASCII_MARKDOWN;

/// A bound that a figure should keep.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bound {
    /// This or more.
    AtLeast(f64),
    /// This or less.
    AtMost(f64),
    /// Less than this.
    Below(f64),
}

impl Bound {
    fn is_kept(self, by: f64) -> bool {
        match self {
            Self::AtLeast(bound) => by >= bound,
            Self::AtMost(bound) => by <= bound,
            Self::Below(bound) => by < bound,
        }
    }

    fn text(self) -> String {
        match self {
            Self::AtLeast(bound) => format!("≥ {}", figure(bound)),
            Self::AtMost(bound) => format!("≤ {}", figure(bound)),
            Self::Below(bound) => format!("< {}", figure(bound)),
        }
    }
}

/// What a row should show.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Target {
    /// Of the ratio.
    Ratio(Bound),
    /// Of the measured figure.
    Measured(Bound),
    /// Of the ratio, or else of the measured figure.
    Either(Bound, Bound),
}

/// A row of the table.
#[derive(Debug, Clone)]
pub struct Row {
    what: String,
    unit: &'static str,
    measured: Vec<f64>,
    against: Option<(String, Vec<f64>)>,
    target: Option<Target>,
}

impl Row {
    /// What was measured in each run, in `unit`.
    #[must_use]
    pub fn new(what: impl Into<String>, unit: &'static str, measured: Vec<f64>) -> Self {
        Self {
            what: what.into(),
            unit,
            measured,
            against: None,
            target: None,
        }
    }

    /// What it is compared with: in the same unit, of the same runs, or one figure for all runs.
    #[must_use]
    pub fn against(mut self, what: impl Into<String>, figures: Vec<f64>) -> Self {
        self.against = Some((what.into(), figures));
        self
    }

    /// What it should be, if anything.
    #[must_use]
    pub fn target(mut self, target: impl Into<Option<Target>>) -> Self {
        self.target = target.into();
        self
    }

    /// The median of what the runs' ratios are.
    #[must_use]
    pub fn ratio(&self) -> Option<f64> {
        let (_, against) = self.against.as_ref()?;
        let ratios = self.measured.iter().zip(against.iter().cycle());
        Some(median(
            &ratios.map(|(one, other)| one / other).collect::<Vec<_>>(),
        ))
    }

    fn is_met(&self) -> Option<bool> {
        let (measured, ratio) = (median(&self.measured), self.ratio().unwrap_or(f64::NAN));
        Some(match self.target? {
            Target::Ratio(bound) => bound.is_kept(ratio),
            Target::Measured(bound) => bound.is_kept(measured),
            Target::Either(of_ratio, of_measured) => {
                of_ratio.is_kept(ratio) || of_measured.is_kept(measured)
            }
        })
    }

    fn target_text(&self) -> String {
        match self.target {
            None => String::new(),
            Some(Target::Ratio(bound)) => format!("ratio {}", bound.text()),
            Some(Target::Measured(bound)) => format!("{} {}", bound.text(), self.unit),
            Some(Target::Either(of_ratio, of_measured)) => format!(
                "ratio {}, or {} {}",
                of_ratio.text(),
                of_measured.text(),
                self.unit
            ),
        }
    }

    fn cells(&self) -> [String; 8] {
        let against = self.against.as_ref();
        let met = match self.is_met() {
            None => "",
            Some(true) => "yes",
            Some(false) => "no",
        };
        [
            self.what.clone(),
            format!("{} {}", figure(median(&self.measured)), self.unit),
            against.map_or(String::new(), |(_, figures)| {
                format!("{} {}", figure(median(figures)), self.unit)
            }),
            against.map_or(String::new(), |(what, _)| what.clone()),
            self.ratio().map_or(String::new(), figure),
            self.target_text(),
            met.to_owned(),
            self.measured.len().to_string(),
        ]
    }
}

/// The middle one; of an even number the mean of the two in the middle.
#[must_use]
pub fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        even if even % 2 == 0 => f64::midpoint(sorted[middle - 1], sorted[middle]),
        _ => sorted[middle],
    }
}

/// Three digits of it; whole and with commas where it is a hundred or more.
#[must_use]
pub fn figure(value: f64) -> String {
    if !value.is_finite() {
        return "?".to_owned();
    }
    if value.fract() == 0.0 || value.abs() >= 100.0 {
        return with_commas(&format!("{value:.0}"));
    }
    let decimals = if value.abs() >= 10.0 { 1 } else { 2 };
    format!("{value:.decimals$}")
}

fn with_commas(digits: &str) -> String {
    let (sign, digits) = digits
        .strip_prefix('-')
        .map_or(("", digits), |rest| ("-", rest));
    let mut text = String::new();
    for (nth, digit) in digits.chars().enumerate() {
        if nth > 0 && (digits.len() - nth).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    format!("{sign}{text}")
}

/// The rows as a table, in Markdown.
#[must_use]
pub fn table(rows: &[Row]) -> String {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    table.set_header([
        "what", "measured", "against", "which is", "ratio", "target", "met", "runs",
    ]);
    table.add_rows(rows.iter().map(Row::cells));
    table.to_string()
}

/// What the figures hang on.
#[derive(Debug)]
pub struct Circumstances {
    /// The machine, in a line.
    pub machine: String,
    /// How often a second its disk made 4 KiB durable, before each part.
    pub syncs: Vec<f64>,
    /// Of what the figures are, each with its version.
    pub versions: Vec<String>,
    /// When, UTC.
    pub date: String,
    /// By which command.
    pub command: String,
    /// How long all took, in minutes.
    pub minutes: f64,
    /// The parts that could not be measured, and why.
    pub failed: Vec<String>,
}

const NOTES: &str = "\
- The load generator, nats-server, PostgreSQL and igstream share the machine's cores. On machines of their own each figure would be higher.
- Figures are medians of the runs; a ratio is the median of the ratios of the runs, each with its own limit, measured in the same run. A few rows take minutes and have fewer runs.
- nats-server syncs each write before it acknowledges (`sync_interval: always`); PostgreSQL has its defaults (`fsync` and `synchronous_commit` on).
- \"Received to committed\" is taken from outside. For igstream: until a subscriber has the message that tells of the committed rows, so it is a little more than that. For the usual design: from the moment a delivery was due until its last statement began, so it is a little less.
- The usual design answers 200 before anything is durable, and its Redis syncs once a second. It is compared as it is.
- With repeats, each telling counts as one event: a repeat leaves a row too.
";

/// The whole as a text in Markdown.
#[must_use]
pub fn markdown(rows: &[Row], under: &Circumstances) -> String {
    let mut text = String::from(
        "# What igstream takes\n\nWritten by `make bench`. How to read it: [docs/performance.md](../docs/performance.md).\n\n",
    );
    let _ = writeln!(text, "- machine: {}", under.machine);
    let _ = writeln!(
        text,
        "- disk: {} syncs a second (4 KiB at the end of a file, one after the other; median of {} looks, {} to {})",
        figure(median(&under.syncs)),
        under.syncs.len(),
        figure(under.syncs.iter().copied().fold(f64::INFINITY, f64::min)),
        figure(under.syncs.iter().copied().fold(0.0, f64::max))
    );
    let _ = writeln!(text, "- versions: {}", under.versions.join(", "));
    let _ = writeln!(text, "- date: {}", under.date);
    let _ = writeln!(
        text,
        "- command: `{}`, {} minutes",
        under.command,
        figure(under.minutes.round())
    );
    let _ = writeln!(text, "\n{}\n", table(rows));
    for failed in &under.failed {
        let _ = writeln!(text, "Not measured: {failed}\n");
    }
    let _ = write!(text, "## Notes\n\n{NOTES}");
    text
}

/// Writes it to `path`.
pub fn write(path: &Path, text: &str) -> Result<()> {
    Ok(std::fs::write(path, text)?)
}
