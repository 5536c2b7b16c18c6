//! What is sent when: an endless iterator of deliveries, the same for the same plan.

use std::{collections::VecDeque, ops::RangeInclusive, sync::Arc};

use bytes::Bytes;
use rand::{SeedableRng, rngs::Xoshiro256PlusPlus};

use super::{
    cast::{self, Account},
    content::Pen,
    delivery::{Delivery, Expectation, Told, body, told},
    items::{Item, item},
    kind::Kind,
    signer::Signing,
    wire::Escaping,
};

/// How many items are kept to be told again.
const REMEMBERED_ITEMS: usize = 4_000;
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

/// Deliveries, one after the other, without end.
#[derive(Debug)]
pub struct Traffic {
    plan: TrafficPlan,
    pub(super) pen: Pen,
    /// Who is told about; and the same accounts with other people, for what must leave no trace.
    pub(super) cast: Vec<Account>,
    untold: Vec<Account>,
    number: u64,
    weights: u32,
    pub(super) invalid_sent: u64,
    recent: VecDeque<Kept>,
    kept_items: usize,
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
        let pen = Pen::new(Xoshiro256PlusPlus::seed_from_u64(plan.seed));
        let accounts = plan.accounts.max(1);
        Self {
            cast: cast::accounts(accounts),
            untold: cast::accounts(accounts),
            weights: plan.kinds.iter().map(|kind| kind.weight()).sum(),
            plan,
            pen,
            number: 0,
            invalid_sent: 0,
            recent: VecDeque::new(),
            kept_items: 0,
        }
    }

    pub(super) fn now_ms(&self) -> u64 {
        let elapsed = self.number.saturating_mul(self.plan.step_micros) / 1_000;
        self.plan.start_ms.saturating_add(elapsed)
    }

    pub(super) fn kind(&mut self) -> Kind {
        let mut left = self.pen.below(self.weights as usize);
        for &kind in &self.plan.kinds {
            match left.checked_sub(kind.weight() as usize) {
                Some(rest) => left = rest,
                None => return kind,
            }
        }
        self.plan.kinds[0]
    }

    pub(super) fn account_index(&mut self, before: Option<usize>) -> usize {
        match before {
            Some(index) if self.pen.chance(70) => index,
            _ => self.pen.below(self.cast.len()),
        }
    }

    /// New items: as many as a delivery has, mostly of one account.
    pub(super) fn items(&mut self, of_whom: Cast) -> Vec<Arc<Item>> {
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
        let events = told(&items, Expectation::Stored);
        self.keep(body.clone(), items);
        self.accepted(body, events)
    }

    fn keep(&mut self, body: Bytes, items: Vec<Arc<Item>>) {
        self.kept_items += items.len();
        self.recent.push_back(Kept { body, items });
        while self.kept_items > REMEMBERED_ITEMS && self.recent.len() > 1 {
            let forgotten = self.recent.pop_front();
            self.kept_items -= forgotten.map_or(0, |kept| kept.items.len());
        }
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
            let (body, events) = (kept.body.clone(), told(&kept.items, Expectation::Duplicate));
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

    pub(super) const fn accepted(&self, body: Bytes, events: Vec<Told>) -> Delivery {
        Delivery {
            number: self.number,
            body,
            signing: Signing::Right,
            status: 200,
            events,
        }
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
pub(super) enum Cast {
    Told,
    Untold,
}
