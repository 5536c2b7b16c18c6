//! What a terminal is given.

use std::env;
use std::io::{self, IsTerminal};

/// Whether standard output is a terminal that is to have colours. <https://no-color.org>: `NO_COLOR` counts
/// where it is set and not empty.
pub(super) fn has_colour() -> bool {
    io::stdout().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// On one line, without what a terminal would obey, and of at most 2,000 characters: text from outside.
pub(super) fn printable(text: &str) -> String {
    const LONGEST: usize = 2000;
    let mut safe = String::with_capacity(text.len().min(LONGEST));
    for c in text.trim().chars().take(LONGEST) {
        if c.is_control() {
            safe.extend(c.escape_default());
        } else {
            safe.push(c);
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_obeys_nothing_of_what_came_from_outside() {
        assert_eq!(printable("\x1b[31mred\r\n\n"), "\\u{1b}[31mred");
    }
}
