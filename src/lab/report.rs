//! The summary as tables, for a person.

use std::fmt;

use comfy_table::{CellAlignment, Table};

use super::summary::Summary;

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}", types(self), answers(self))?;
        writeln!(
            f,
            "{} deliveries ({} events) in {:.1} s: {:.0} deliveries/s; p50 {:.1} ms, p99 {:.1} ms",
            self.deliveries,
            self.events,
            self.seconds,
            self.deliveries_per_second,
            self.latency_ms.p50,
            self.latency_ms.p99
        )?;
        write!(
            f,
            "retried {}, failed {}, answered otherwise than expected {}",
            self.retried, self.failed, self.unexpected
        )
    }
}

fn types(summary: &Summary) -> Table {
    let mut types = table(["event type", "sent", "of them repeated"]);
    for (event_type, count) in &summary.types {
        let name = match *event_type {
            "none" => "(no readable item)",
            name => name,
        };
        types.add_row([
            name.to_owned(),
            count.sent.to_string(),
            count.repeated.to_string(),
        ]);
    }
    types
}

fn answers(summary: &Summary) -> Table {
    let mut answers = table(["answer", "deliveries"]);
    for (status, count) in &summary.statuses {
        answers.add_row([status.to_string(), count.to_string()]);
    }
    let answered: u64 = summary.statuses.values().sum();
    if answered < summary.deliveries {
        let unanswered = summary.deliveries - answered;
        answers.add_row(["none".to_owned(), unanswered.to_string()]);
    }
    answers
}

fn table<const COLUMNS: usize>(header: [&str; COLUMNS]) -> Table {
    let mut table = Table::new();
    table.set_header(header);
    for index in 1..COLUMNS {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}
