//! Which rows go. Pure.
//!
//! A row stays for its days from when it was done with: stored, recognised as a duplicate, failed for good, given up.
//! What is not done with (it waits for its account, or its next attempt) stays whatever its age.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use entity::webhook_event::status::{DEAD, DISCARDED, DUPLICATE, STORED};

use crate::instagram::identity::received_at;
use crate::store::retention::{Among, Head, Place};
use crate::telemetry::metrics::Retained;

/// How many days rows stay; 0 is for ever.
#[derive(Debug, Clone, Copy)]
pub struct Days {
    /// Processed events, `unknown` ones that were kept among them.
    pub processed: u32,
    /// Duplicates.
    pub duplicates: u32,
    /// Dead letters, and what an operator gave up.
    pub dead_letters: u32,
}

impl Days {
    /// Before when rows of that kind have stayed long enough; `None` where they stay for ever.
    pub(super) fn cutoff(self, kind: Retained, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let days = match kind {
            Retained::Processed => self.processed,
            Retained::Duplicate => self.duplicates,
            Retained::DeadLetter => self.dead_letters,
        };
        if days == 0 {
            return None;
        }
        now.checked_sub_signed(TimeDelta::days(i64::from(days)))
    }
}

/// One kind of rows, and where to look for them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    pub(super) kind: Retained,
    pub(super) among: Among,
}

/// Duplicates go first: a first row stays as long as it has any.
pub(super) const RULES: [Rule; 4] = [
    Rule {
        kind: Retained::Duplicate,
        among: Among::Duplicates,
    },
    Rule {
        kind: Retained::DeadLetter,
        among: Among::Dead,
    },
    Rule {
        kind: Retained::DeadLetter,
        among: Among::Discarded,
    },
    Rule {
        kind: Retained::Processed,
        among: Among::All,
    },
];

/// What is to become of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It goes.
    Goes,
    /// It is too young, or a stream still has something of it.
    Waits,
    /// The rule is not about it.
    NotMeant,
}

impl Rule {
    pub(super) fn verdict(self, head: &Head, cutoff: DateTime<Utc>, streams: &Streams) -> Verdict {
        let is_meant = match self.kind {
            Retained::Processed => head.status == STORED,
            Retained::Duplicate => head.status == DUPLICATE,
            Retained::DeadLetter => [DEAD, DISCARDED].contains(&head.status.as_str()),
        };
        if !is_meant {
            return Verdict::NotMeant;
        }
        let done_at = head.processed_at.unwrap_or(head.updated_at);
        if done_at.max(head.created_at) < cutoff && streams.have_lost(head) {
            Verdict::Goes
        } else {
            Verdict::Waits
        }
    }
}

/// What the two streams cannot hold any more. Once true it stays so: what has left a stream does not come back.
#[derive(Debug)]
pub(super) struct Streams {
    /// What has left the journal.
    pub(super) journal: Before,
    /// What has left `INSTAGRAM_EVENTS`, by type. A type that is not there has lost nothing for sure.
    pub(super) events: HashMap<&'static str, Events>,
}

/// What has left `INSTAGRAM_EVENTS` of a type.
#[derive(Debug, Clone, Copy)]
pub(super) struct Events {
    /// Everything below this sequence.
    pub(super) first: u64,
    /// Rows that know no sequence were written before that.
    pub(super) unknown: Before,
}

/// All that came before a time, by two clocks: the database's, by which rows are written, and the receivers', by
/// which receipts are made. Both have to say so, so that one that is wrong does no harm.
#[derive(Debug, Clone, Copy)]
pub(super) struct Before {
    pub(super) written: DateTime<Utc>,
    /// `None` where the stream holds nothing at all.
    pub(super) received: Option<DateTime<Utc>>,
}

impl Before {
    fn covers(self, head: &Head) -> bool {
        let is_received = |time| received_at(head.id) < time;
        head.created_at < self.written && self.received.is_none_or(is_received)
    }
}

impl Streams {
    fn have_lost(&self, head: &Head) -> bool {
        let Some(events) = self.events.get(head.event_type.as_str()) else {
            return false;
        };
        let has_left_events = match head.stream_sequence.map(u64::try_from) {
            Some(Ok(sequence)) => sequence < events.first,
            Some(Err(_)) | None => events.unknown.covers(head),
        };
        has_left_events && self.journal.covers(head)
    }
}

/// Up to where all rows are looked at: they go, or the rule is not about them. What it passes over for another reason
/// (it had a duplicate) is found when the reading begins anew.
#[derive(Debug, Default)]
pub(super) struct Settled {
    pub(super) place: Place,
    is_open: bool,
}

impl Settled {
    /// A new reading goes on from here.
    pub(super) fn reopen(&mut self) {
        self.is_open = true;
    }

    /// The next row, in the order of receipts.
    pub(super) fn pass(&mut self, head: &Head, verdict: Verdict) {
        self.is_open &= verdict != Verdict::Waits;
        if self.is_open {
            self.place = head.place();
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::instagram::identity::first_receipt_at;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    fn ago(days: i64) -> DateTime<Utc> {
        now() - TimeDelta::days(days)
    }

    fn head(status: &str, days: i64, sequence: Option<i64>) -> Head {
        Head {
            id: first_receipt_at(ago(days)),
            event_type: "comment".to_owned(),
            status: status.to_owned(),
            created_at: ago(days),
            updated_at: ago(days),
            processed_at: [STORED, DUPLICATE].contains(&status).then(|| ago(days)),
            stream_sequence: sequence,
        }
    }

    fn streams() -> Streams {
        let before = |days| Before {
            written: ago(days),
            received: Some(ago(days)),
        };
        let comment = Events {
            first: 100,
            unknown: before(7),
        };
        Streams {
            journal: before(7),
            events: HashMap::from([("comment", comment)]),
        }
    }

    const DAYS: Days = Days {
        processed: 90,
        duplicates: 7,
        dead_letters: 30,
    };

    /// The verdict of the rule that is about such rows, if any is.
    fn verdict(head: &Head) -> Verdict {
        let mut verdicts = RULES
            .into_iter()
            .map(|rule| {
                let cutoff = DAYS.cutoff(rule.kind, now()).unwrap();
                rule.verdict(head, cutoff, &streams())
            })
            .filter(|verdict| *verdict != Verdict::NotMeant);
        verdicts.next().unwrap_or(Verdict::NotMeant)
    }

    #[test]
    fn each_status_has_its_days_and_what_is_not_done_with_stays() {
        use entity::webhook_event::status::{RETRYING, UNASSIGNED};
        for (status, days) in [(STORED, 90), (DUPLICATE, 7), (DEAD, 30), (DISCARDED, 30)] {
            assert_eq!(
                verdict(&head(status, days + 1, Some(1))),
                Verdict::Goes,
                "{status}"
            );
            assert_eq!(
                verdict(&head(status, days - 1, Some(1))),
                Verdict::Waits,
                "{status}"
            );
        }
        for status in [RETRYING, UNASSIGNED] {
            assert_eq!(
                verdict(&head(status, 9000, Some(1))),
                Verdict::NotMeant,
                "{status}"
            );
        }
    }

    #[test]
    fn zero_days_are_for_ever() {
        let days = Days {
            processed: 0,
            duplicates: 0,
            dead_letters: 0,
        };
        for rule in RULES {
            assert_eq!(days.cutoff(rule.kind, now()), None);
        }
    }

    #[test]
    fn days_count_from_when_it_was_done_with() {
        let mut late = head(STORED, 91, Some(1));
        late.processed_at = Some(ago(1));
        assert_eq!(verdict(&late), Verdict::Waits, "its account came late");
        let mut again = head(DEAD, 31, Some(1));
        again.updated_at = ago(1);
        assert_eq!(verdict(&again), Verdict::Waits, "it died once more");
        let mut blanked = head(STORED, 91, Some(1));
        blanked.updated_at = ago(1);
        assert_eq!(verdict(&blanked), Verdict::Goes);
    }

    #[test]
    fn what_a_stream_may_hold_stays() {
        for sequence in [Some(100), Some(101), Some(i64::MAX), Some(-1)] {
            let is_low = sequence == Some(-1);
            let wanted = if is_low {
                Verdict::Goes
            } else {
                Verdict::Waits
            };
            assert_eq!(verdict(&head(STORED, 91, sequence)), wanted, "{sequence:?}");
        }
        assert_eq!(verdict(&head(STORED, 91, Some(99))), Verdict::Goes);
        assert_eq!(verdict(&head(STORED, 91, None)), Verdict::Goes);
        let mut other = head(STORED, 91, Some(1));
        other.event_type = "message".to_owned();
        assert_eq!(
            verdict(&other),
            Verdict::Waits,
            "nothing is known of its stream"
        );
    }

    #[test]
    fn both_clocks_have_to_say_that_a_delivery_has_left() {
        let mut by_receiver = head(STORED, 91, Some(1));
        by_receiver.id = first_receipt_at(ago(6));
        assert_eq!(verdict(&by_receiver), Verdict::Waits);
        let mut without = streams();
        without.journal.received = None;
        let cutoff = ago(90);
        assert_eq!(
            RULES[3].verdict(&by_receiver, cutoff, &without),
            Verdict::Goes
        );
        without.journal.written = ago(92);
        assert_eq!(
            RULES[3].verdict(&by_receiver, cutoff, &without),
            Verdict::Waits
        );
    }

    #[test]
    fn a_reading_goes_on_before_the_first_that_waits() {
        let heads = [
            head(STORED, 93, None),
            head(DEAD, 92, None),
            head(STORED, 91, None),
        ];
        let mut settled = Settled::default();
        settled.reopen();
        settled.pass(&heads[0], Verdict::Goes);
        settled.pass(&heads[1], Verdict::NotMeant);
        assert_eq!(settled.place, heads[1].place());
        settled.pass(&heads[2], Verdict::Waits);
        settled.pass(&heads[2], Verdict::Goes);
        assert_eq!(settled.place, heads[1].place());
    }
}
