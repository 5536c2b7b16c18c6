//! What is sent when: an endless iterator of deliveries, the same for the same plan.

use std::{collections::VecDeque, ops::RangeInclusive, sync::Arc};

use bytes::Bytes;
use rand::{SeedableRng, rngs::Xoshiro256PlusPlus};

use super::{
    cast::{self, Account},
    content::Pen,
    items::{Item, item},
    kind::Kind,
    malformed::malformed,
    signer::Signing,
    wire::Escaping,
};

/// How many deliveries are kept to be told again.
const REMEMBERED_DELIVERIES: usize = 2_000;
/// What "a moment later" means: told again within so many deliveries.
const MOMENT: usize = 8;

/// What the traffic is like.
#[derive(Debug, Clone)]
pub struct TrafficPlan {
    /// Decides everything that the other fields leave open.
    pub seed: u64,
    /// When the first delivery happens, in milliseconds since 1970.
    pub start_ms: u64,
    /// The time from one delivery to the next, in microseconds.
    pub step_micros: u64,
    /// The types to send; all nine if empty.
    pub kinds: Vec<Kind>,
    /// How many accounts take part; at least one does.
    pub accounts: usize,
    /// How many items a delivery has.
    pub batch: RangeInclusive<usize>,
    /// Percent of the deliveries that tell an earlier one again.
    pub duplicates: f64,
    /// Percent of the deliveries that are invalid in some way.
    pub invalid: f64,
}

impl Default for TrafficPlan {
    fn default() -> Self {
        Self {
            seed: 0,
            start_ms: 0,
            step_micros: 20_000,
            kinds: Kind::ALL.to_vec(),
            accounts: 3,
            batch: 1..=3,
            duplicates: 5.0,
            invalid: 1.0,
        }
    }
}

/// What must become of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Expectation {
    /// It is new: its typed row is there.
    Stored,
    /// It was told before: one more row in the generic log, and nothing else.
    Duplicate,
    /// It ends as a dead letter.
    Dead,
    /// Its delivery is not accepted: no trace of it.
    Refused,
    /// Its delivery is accepted and dropped, since it is not Instagram's.
    Ignored,
}

/// An event of a delivery, and what must become of it.
#[derive(Debug, Clone)]
pub struct Told {
    /// One of the nine or `unknown`; none if the delivery has no readable item.
    pub event_type: Option<&'static str>,
    /// The account it is about.
    pub ig_account_id: Option<Arc<str>>,
    /// The `event_id` it must get; none where it cannot be identified.
    pub event_id: Option<Arc<str>>,
    /// What must become of it.
    pub expectation: Expectation,
}

/// One HTTP POST of Instagram's.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Counts from 0.
    pub number: u64,
    /// The bytes that are signed and sent.
    pub body: Bytes,
    /// How they are signed.
    pub signing: Signing,
    /// The HTTP status it must be answered with.
    pub status: u16,
    /// Its items.
    pub events: Vec<Told>,
}

/// Deliveries, one after the other, without end.
#[derive(Debug)]
pub struct Traffic {
    plan: TrafficPlan,
    pen: Pen,
    /// Who is told about; and the same accounts with other people, for what must leave no trace.
    cast: Vec<Account>,
    untold: Vec<Account>,
    number: u64,
    weights: u32,
    invalid: u64,
    recent: VecDeque<Kept>,
}

/// A delivery that can be told again.
#[derive(Debug)]
struct Kept {
    body: Bytes,
    items: Vec<Arc<Item>>,
}

impl Traffic {
    /// The traffic of `plan`.
    #[must_use]
    pub fn new(mut plan: TrafficPlan) -> Self {
        if plan.kinds.is_empty() {
            plan.kinds = Kind::ALL.to_vec();
        }
        let mut pen = Pen::new(Xoshiro256PlusPlus::seed_from_u64(plan.seed));
        let accounts = plan.accounts.max(1);
        Self {
            cast: cast::accounts(&mut pen, accounts),
            untold: cast::accounts(&mut pen, accounts),
            weights: plan.kinds.iter().map(|kind| kind.weight()).sum(),
            plan,
            pen,
            number: 0,
            invalid: 0,
            recent: VecDeque::with_capacity(REMEMBERED_DELIVERIES),
        }
    }

    fn now_ms(&self) -> u64 {
        let elapsed = self.number.saturating_mul(self.plan.step_micros) / 1_000;
        self.plan.start_ms.saturating_add(elapsed)
    }

    fn kind(&mut self) -> Kind {
        let mut left = self.pen.below(self.weights as usize);
        for &kind in &self.plan.kinds {
            match left.checked_sub(kind.weight() as usize) {
                Some(rest) => left = rest,
                None => return kind,
            }
        }
        self.plan.kinds[0]
    }

    fn account_index(&mut self, before: Option<usize>) -> usize {
        match before {
            Some(index) if self.pen.chance(70) => index,
            _ => self.pen.below(self.cast.len()),
        }
    }

    /// New items: as many as a delivery has, mostly of one account.
    fn items(&mut self, of_whom: Cast) -> Vec<Arc<Item>> {
        let (least, most) = (*self.plan.batch.start(), *self.plan.batch.end());
        let count = least.max(1) + self.pen.below(most.saturating_sub(least) + 1);
        let mut account = None;
        (0..count)
            .map(|_| {
                let index = self.account_index(account);
                account = Some(index);
                Arc::new(self.item(of_whom, index))
            })
            .collect()
    }

    fn item(&mut self, of_whom: Cast, index: usize) -> Item {
        let (kind, now_ms) = (self.kind(), self.now_ms());
        let cast = match of_whom {
            Cast::Told => &mut self.cast,
            Cast::Untold => &mut self.untold,
        };
        item(&mut self.pen, &mut cast[index], kind, now_ms)
    }

    fn fresh(&mut self) -> Delivery {
        let items = self.items(Cast::Told);
        let body = body("instagram", &items);
        if self.recent.len() == REMEMBERED_DELIVERIES {
            self.recent.pop_front();
        }
        let events = told(&items, Expectation::Stored);
        self.recent.push_back(Kept {
            body: body.clone(),
            items,
        });
        self.accepted(body, events)
    }

    /// An earlier delivery, a moment or a long time later; byte for byte, or its items (some of
    /// them, perhaps) in another delivery.
    fn repeat(&mut self) -> Delivery {
        let back = if self.pen.chance(50) {
            self.pen.below(MOMENT.min(self.recent.len()))
        } else {
            self.pen.below(self.recent.len())
        };
        let kept = &self.recent[self.recent.len() - 1 - back];
        if self.pen.chance(50) {
            let (body, events) = (
                kept.body.clone(),
                told(&kept.items, Expectation::Duplicate),
            );
            return self.accepted(body, events);
        }
        let mut items = kept.items.clone();
        if self.pen.chance(50) {
            items.truncate(1);
        }
        let mut events = told(&items, Expectation::Duplicate);
        if self.pen.chance(50) {
            let account = self.account_index(None);
            let new = [Arc::new(self.item(Cast::Told, account))];
            events.extend(told(&new, Expectation::Stored));
            items.extend(new);
        }
        self.accepted(body("instagram", &items), events)
    }

    const fn accepted(&self, body: Bytes, events: Vec<Told>) -> Delivery {
        Delivery {
            number: self.number,
            body,
            signing: Signing::Right,
            status: 200,
            events,
        }
    }

    /// The kinds of invalid deliveries, in rotation.
    fn invalid(&mut self) -> Delivery {
        let turn = self.invalid;
        self.invalid += 1;
        match turn % 5 {
            0 => self.wrongly_signed(turn / 5),
            1 => self.not_json(turn / 5),
            2 => self.without_entry(turn / 5),
            3 => self.of_another_product(turn / 5),
            _ => self.with_a_malformed_item(),
        }
    }

    fn wrongly_signed(&mut self, round: u64) -> Delivery {
        let items = self.items(Cast::Untold);
        let events = told(&items, Expectation::Refused);
        Delivery {
            signing: [Signing::Foreign, Signing::Absent, Signing::Cut][index(round, 3)],
            status: 401,
            ..self.accepted(body("instagram", &items), events)
        }
    }

    fn not_json(&mut self, round: u64) -> Delivery {
        let mut whole = body("instagram", &self.items(Cast::Untold));
        let body = match round % 3 {
            0 => whole.split_to(whole.len() / 2),
            1 => Bytes::from_static(b"<html><body>502 Bad Gateway</body></html>"),
            _ => Bytes::new(),
        };
        self.refused(body)
    }

    fn without_entry(&mut self, round: u64) -> Delivery {
        let bodies = [r#"{"object":"instagram"}"#, "[]", r#""instagram""#];
        let body = bodies[index(round, bodies.len())];
        self.refused(Bytes::from_static(body.as_bytes()))
    }

    fn refused(&self, body: Bytes) -> Delivery {
        let nothing = Told {
            event_type: None,
            ig_account_id: None,
            event_id: None,
            expectation: Expectation::Refused,
        };
        Delivery {
            status: 400,
            ..self.accepted(body, vec![nothing])
        }
    }

    fn of_another_product(&mut self, round: u64) -> Delivery {
        let objects = ["page", "user", "whatsapp_business_account"];
        let items = self.items(Cast::Untold);
        let events = told(&items, Expectation::Ignored);
        let object = objects[index(round, objects.len())];
        self.accepted(body(object, &items), events)
    }

    fn with_a_malformed_item(&mut self) -> Delivery {
        let mut items = self.items(Cast::Told);
        let mut events = told(&items, Expectation::Stored);
        let (kind, now_ms) = (self.kind(), self.now_ms());
        let account = self.account_index(None);
        let bad = [Arc::new(malformed(
            &mut self.pen,
            &self.cast[account],
            kind,
            now_ms,
        ))];
        let at = self.pen.below(items.len() + 1);
        events.splice(at..at, told(&bad, Expectation::Dead));
        items.splice(at..at, bad);
        self.accepted(body("instagram", &items), events)
    }
}

impl Iterator for Traffic {
    type Item = Delivery;

    fn next(&mut self) -> Option<Delivery> {
        let share = self.pen.percentile();
        // Meta escapes; what does not is another way to write the same, and must read alike.
        self.pen.escaping = if self.pen.chance(75) {
            Escaping::Meta
        } else {
            Escaping::Plain
        };
        let delivery = if share < self.plan.invalid {
            self.invalid()
        } else if share < self.plan.invalid + self.plan.duplicates && !self.recent.is_empty() {
            self.repeat()
        } else {
            self.fresh()
        };
        self.number += 1;
        Some(delivery)
    }
}

#[derive(Clone, Copy)]
enum Cast {
    Told,
    Untold,
}

fn index(round: u64, count: usize) -> usize {
    usize::try_from(round).unwrap_or(0) % count
}

fn told(items: &[Arc<Item>], expectation: Expectation) -> Vec<Told> {
    items
        .iter()
        .map(|item| Told {
            event_type: Some(item.event_type),
            ig_account_id: Some(Arc::clone(&item.ig_account_id)),
            event_id: item.event_id.clone(),
            expectation,
        })
        .collect()
}

/// The delivery's JSON: neighbours of the same account, list and time share an entry.
fn body(object: &str, items: &[Arc<Item>]) -> Bytes {
    let size: usize = items.iter().map(|item| item.json.len() + 80).sum();
    let mut json = Vec::with_capacity(64 + size);
    json.extend_from_slice(b"{\"object\":\"");
    json.extend_from_slice(object.as_bytes());
    json.extend_from_slice(b"\",\"entry\":[");
    let entries = items.chunk_by(|one, next| {
        one.ig_account_id == next.ig_account_id
            && one.place == next.place
            && one.entry_time == next.entry_time
    });
    for (number, entry) in entries.enumerate() {
        if number > 0 {
            json.push(b',');
        }
        write_entry(&mut json, entry);
    }
    json.extend_from_slice(b"]}");
    json.into()
}

fn write_entry(json: &mut Vec<u8>, entry: &[Arc<Item>]) {
    let first = &entry[0];
    json.extend_from_slice(b"{\"time\":");
    json.extend_from_slice(first.entry_time.to_string().as_bytes());
    json.extend_from_slice(b",\"id\":\"");
    json.extend_from_slice(first.ig_account_id.as_bytes());
    json.extend_from_slice(b"\",\"");
    json.extend_from_slice(first.place.list().as_bytes());
    json.extend_from_slice(b"\":[");
    for (number, item) in entry.iter().enumerate() {
        if number > 0 {
            json.push(b',');
        }
        json.extend_from_slice(&item.json);
    }
    json.extend_from_slice(b"]}");
}
