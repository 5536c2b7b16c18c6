//! How a deletion stands, in words: no more than whoever holds its code may know. Pure.

use chrono::{DateTime, Utc};
use entity::erased_account::Model;
use serde::Serialize;

use crate::instagram::time::canonical;

/// A deletion, as its page shows it.
#[derive(Debug, Serialize)]
pub(super) struct Deletion {
    confirmation_code: String,
    state: State,
    requested_at: Option<String>,
    finished_at: Option<String>,
    explanation: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    InProgress,
    Finished,
    NothingStored,
}

impl Deletion {
    /// Of the erasures under this code.
    pub(super) fn of(code: String, erasures: &[Model], keep_days: u32) -> Self {
        let state = state(erasures);
        let requested_at = erasures.iter().map(|erasure| erasure.erased_at).min();
        let finished_at = erasures.iter().filter_map(|erasure| erasure.finished_at);
        let finished_at = finished_at.max().filter(|_| state == State::Finished);
        let text = |time: DateTime<Utc>| canonical(time);
        Self {
            confirmation_code: code,
            state,
            requested_at: requested_at.map(text),
            finished_at: finished_at.map(text),
            explanation: explanation(state, keep_days),
        }
    }
}

fn state(erasures: &[Model]) -> State {
    if erasures.is_empty() {
        State::NothingStored
    } else if erasures.iter().all(|one| one.finished_at.is_some()) {
        State::Finished
    } else {
        State::InProgress
    }
}

fn explanation(state: State, keep_days: u32) -> String {
    let journal = format!(
        "The record of what Instagram delivered is not read for it any more, and is itself deleted after {keep_days} days."
    );
    match state {
        State::InProgress => {
            format!("What was stored of the account is being deleted. {journal}")
        }
        State::Finished => format!("What was stored of the account is deleted. {journal}"),
        State::NothingStored => {
            "Nothing is stored under this request: there was no account of that user, or it is deleted already."
                .to_owned()
        }
    }
}

/// The same for a person.
pub(super) fn page(deletion: &Deletion) -> String {
    let Deletion {
        confirmation_code,
        state,
        requested_at,
        finished_at,
        explanation,
    } = deletion;
    let state = match state {
        State::InProgress => "in progress",
        State::Finished => "finished",
        State::NothingStored => "nothing stored",
    };
    let row = |name: &str, value: &str| format!("<dt>{name}</dt><dd>{value}</dd>\n");
    let mut rows = row("Confirmation code", confirmation_code) + &row("State", state);
    for (name, time) in [("Requested", requested_at), ("Finished", finished_at)] {
        if let Some(time) = time {
            rows.push_str(&row(name, time));
        }
    }
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><meta name=\"robots\" content=\"noindex\">\
         <title>Deletion of data: {state}</title></head>\n<body>\n<h1>Deletion of data: {state}</h1>\n\
         <p>{explanation}</p>\n<dl>\n{rows}</dl>\n</body></html>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn erasure(finished: bool) -> Model {
        let erased_at = DateTime::UNIX_EPOCH;
        Model {
            ig_account_id: "17841405822304914".to_owned(),
            erased_at,
            finished_at: finished.then_some(erased_at),
            confirmation_code: Some("c0de".to_owned()),
        }
    }

    #[test]
    fn it_tells_how_a_deletion_stands_and_of_whom_it_is_not() {
        for (erasures, shown) in [
            (vec![], "nothing stored"),
            (vec![erasure(true)], "finished"),
            (vec![erasure(true), erasure(false)], "in progress"),
        ] {
            let deletion = Deletion::of("c0de".to_owned(), &erasures, 7);
            let page = page(&deletion);
            assert!(
                page.contains(&format!("<h1>Deletion of data: {shown}</h1>")),
                "{page}"
            );
            assert_eq!(
                page.contains("Finished</dt>"),
                shown == "finished",
                "{page}"
            );
            assert!(page.contains("c0de") && !page.contains("17841"), "{page}");
        }
    }
}
