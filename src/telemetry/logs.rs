//! The log, on standard error: text for a person on a terminal, JSON for a collector.

use std::env;
use std::io::{self, IsTerminal};

use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use crate::config::{Log, LogFormat};

/// The environment variable that wins over `log.level`, as in most Rust programs.
const VARIABLE: &str = "RUST_LOG";

/// The log cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter cannot be read.
    #[error(
        "{origin} = {directives:?} is not a log level: {reason}; write error, warn, info, debug, trace or such as info,igstream=debug"
    )]
    Filter {
        /// `RUST_LOG` or `log.level`.
        origin: &'static str,
        /// What was given.
        directives: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The process has a log already.
    #[error("the log of this process is set up already: {0}")]
    Installed(#[from] TryInitError),
}

/// Sets the log of the process up.
pub fn init(config: &Log) -> Result<(), LogError> {
    let filter = filter(config, env::var(VARIABLE).ok())?;
    let terminal = io::stderr().is_terminal();
    // https://no-color.org: set and not empty.
    let colour = terminal && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    subscriber(style(config.format, terminal, colour), filter, io::stderr).try_init()?;
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Text { colour: bool },
    Json,
}

fn style(format: LogFormat, terminal: bool, colour: bool) -> Style {
    match format {
        LogFormat::Text => Style::Text { colour },
        LogFormat::Auto if terminal => Style::Text { colour },
        LogFormat::Auto | LogFormat::Json => Style::Json,
    }
}

fn filter(config: &Log, variable: Option<String>) -> Result<EnvFilter, LogError> {
    let (origin, directives) = match variable.filter(|text| !text.is_empty()) {
        Some(text) => (VARIABLE, text),
        None => ("log.level", config.level.clone()),
    };
    EnvFilter::try_new(&directives).map_err(|error| LogError::Filter {
        origin,
        directives,
        reason: error.to_string(),
    })
}

fn subscriber<W>(style: Style, filter: EnvFilter, writer: W) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer);
    match style {
        Style::Text { colour } => Box::new(lines.with_ansi(colour).finish()),
        Style::Json => {
            // The actors' own spans say nothing that a line does not say itself.
            let lines = lines.json().flatten_event(true);
            Box::new(
                lines
                    .with_current_span(false)
                    .with_span_list(false)
                    .finish(),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use super::{Style, filter, style, subscriber};
    use crate::config::{Log, LogFormat};

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn config(level: &str) -> Log {
        Log {
            format: LogFormat::Auto,
            level: level.to_owned(),
        }
    }

    fn logged(style: Style, level: &str, variable: Option<&str>) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let filter = filter(&config(level), variable.map(str::to_owned)).unwrap();
        let subscriber = subscriber(style, filter, move || writer.clone());
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(stream = "INSTAGRAM_EVENTS", "stream is made");
            tracing::debug!("detail");
        });
        String::from_utf8(lines.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn text_on_a_terminal_json_otherwise() {
        assert_eq!(
            style(LogFormat::Auto, true, true),
            Style::Text { colour: true }
        );
        assert_eq!(style(LogFormat::Auto, false, false), Style::Json);
        assert_eq!(
            style(LogFormat::Text, false, false),
            Style::Text { colour: false }
        );
        assert_eq!(style(LogFormat::Json, true, true), Style::Json);
    }

    #[test]
    fn a_json_line_has_the_fields_at_its_top() {
        let text = logged(Style::Json, "info", None);
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["message"], "stream is made");
        assert_eq!(line["stream"], "INSTAGRAM_EVENTS");
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z'), "{line}");
    }

    #[test]
    fn colour_only_where_it_was_asked_for() {
        assert!(logged(Style::Text { colour: true }, "info", None).contains("\u{1b}["));
        let plain = logged(Style::Text { colour: false }, "info", None);
        assert!(
            plain.contains("stream is made stream=\"INSTAGRAM_EVENTS\"")
                && !plain.contains('\u{1b}'),
            "{plain}"
        );
    }

    #[test]
    fn the_variable_wins_over_the_configuration() {
        assert!(!logged(Style::Json, "info", None).contains("detail"));
        assert!(logged(Style::Json, "info", Some("debug")).contains("detail"));
        assert!(!logged(Style::Json, "debug", Some("warn")).contains("stream"));
        assert!(
            logged(Style::Json, "info", Some("")).contains("stream"),
            "empty is not set"
        );
    }

    #[test]
    fn a_wrong_filter_names_where_it_came_from() {
        let error = filter(&config("info"), Some("igstream=loud".to_owned()))
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("RUST_LOG = \"igstream=loud\" is not a log level: "),
            "{error}"
        );
    }
}
