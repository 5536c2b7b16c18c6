//! What is sent when: an endless iterator of deliveries, the same for the same plan.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use rand::{SeedableRng, rngs::Xoshiro256PlusPlus};

use super::{
    cast::{self, Account},
    content::Pen,
    delivery::{Delivery, Envelope, Telling, Told, body, expecting, told},
    expectation::Expectation,
    items::{Later, item},
    kind::Kind,
    plan::TrafficPlan,
    signer::Signing,
    wire::Escaping,
};

/// How many items are kept to be told again: some minutes of traffic.
const REMEMBERED_ITEMS: usize = 8_000;
/// What "a moment later" means: told again within so many deliveries.
const MOMENT: usize = 8;
/// Once in so many deliveries a burst begins: many at once, about one account.
const BURST_ONCE_IN: usize = 400;
/// The test button is pressed once in so many items.
const SAMPLE_ONCE_IN: usize = 250;

/// Deliveries, one after the other, without end.
#[derive(Debug)]
pub struct Traffic {
    plan: TrafficPlan,
    pub(super) pen: Pen,
    /// Who is told about; and the same accounts with other people, for what must leave no trace.
    pub(super) cast: Vec<Account>,
    untold: Vec<Account>,
    number: u64,
    /// The number of the delivery whose moment it is: in a burst, of its first.
    moment: u64,
    burst: Option<Burst>,
    weights: u32,
    pub(super) invalid_sent: u64,
    recent: VecDeque<Kept>,
    kept_items: usize,
    /// What is told later, by the number of the delivery from which on it is due.
    later: BTreeMap<(u64, usize), Telling>,
}

/// Many deliveries at once, most of them of one type about one account.
#[derive(Debug, Clone, Copy)]
struct Burst {
    kind: Kind,
    account: usize,
    left: usize,
}

/// A delivery that can be told again.
#[derive(Debug)]
struct Kept {
    body: Bytes,
    items: Vec<Telling>,
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
        let cast = || {
            let mut cast = cast::accounts(accounts);
            cast.push(cast::sample_account());
            cast
        };
        Self {
            cast: cast(),
            untold: cast(),
            weights: plan.kinds.iter().map(|kind| kind.weight()).sum(),
            plan,
            pen,
            number: 0,
            moment: 0,
            burst: None,
            invalid_sent: 0,
            recent: VecDeque::new(),
            kept_items: 0,
            later: BTreeMap::new(),
        }
    }

    pub(super) fn now_ms(&self) -> u64 {
        let elapsed = self.moment.saturating_mul(self.plan.step_micros) / 1_000;
        self.plan.start_ms.saturating_add(elapsed)
    }

    pub(super) fn kind(&mut self) -> Kind {
        match self.burst {
            Some(burst) if self.pen.chance(70) => burst.kind,
            _ => self.any_kind(),
        }
    }

    fn any_kind(&mut self) -> Kind {
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
        let samples = self.cast.len() - 1;
        if self.pen.below(SAMPLE_ONCE_IN) == 0 {
            return samples;
        }
        let before = self.burst.map(|burst| burst.account).or(before);
        match before {
            Some(index) if index < samples && self.pen.chance(70) => index,
            _ => self.pen.below(samples),
        }
    }

    /// Items: as many as a delivery has, mostly of one account. First comes what was put off.
    pub(super) fn items(&mut self, of_whom: Cast) -> Vec<Telling> {
        let (least, most) = (*self.plan.batch.start(), *self.plan.batch.end());
        let count = least.max(1) + self.pen.below(most.saturating_sub(least) + 1);
        let mut items = match of_whom {
            Cast::Told => self.due(count),
            Cast::Untold => Vec::new(),
        };
        let mut account = None;
        while items.len() < count {
            let index = self.account_index(account);
            account = Some(index);
            items.push(self.item(of_whom, index));
        }
        items
    }

    fn item(&mut self, of_whom: Cast, index: usize) -> Telling {
        let (kind, now_ms) = (self.kind(), self.now_ms());
        let cast = match of_whom {
            Cast::Told => &mut self.cast,
            Cast::Untold => &mut self.untold,
        };
        let made = item(&mut self.pen, &mut cast[index], kind, now_ms);
        if let (Some(later), Cast::Told) = (made.later, of_whom) {
            self.put_off(later);
        }
        Telling::new(made.now, Expectation::Stored)
    }

    /// Keeps for later what the plan allows for: within a second, most of the time.
    fn put_off(&mut self, later: Later) {
        let is_repeat = later.expectation == Expectation::Duplicate;
        if !self.plan.kinds.contains(&later.kind) || (is_repeat && self.plan.duplicates <= 0.0) {
            return;
        }
        let wait = if self.pen.chance(90) {
            1 + self.pen.below(40)
        } else {
            200 + self.pen.below(2_000)
        };
        let due = self.number + wait as u64;
        let telling = Telling::new(later.item, later.expectation);
        self.later.insert((due, self.later.len()), telling);
    }

    /// At most `count` items that were put off and are due.
    fn due(&mut self, count: usize) -> Vec<Telling> {
        let mut due = Vec::new();
        while due.len() < count {
            match self.later.first_entry() {
                Some(first) if first.key().0 <= self.number => due.push(first.remove()),
                _ => break,
            }
        }
        due
    }

    fn fresh(&mut self) -> Delivery {
        let items = self.items(Cast::Told);
        let body = body("instagram", &items, self.envelope());
        let events = told(&items);
        self.keep(body.clone(), items);
        self.accepted(body, events)
    }

    fn envelope(&mut self) -> Envelope {
        match self.pen.below(100) {
            0 => Envelope::InArray,
            1..6 => Envelope::EntryFirst,
            _ => Envelope::Usual,
        }
    }

    fn keep(&mut self, body: Bytes, items: Vec<Telling>) {
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
        let mut items = expecting(&kept.items, Expectation::Duplicate);
        if self.pen.chance(50) {
            return self.accepted(kept.body.clone(), told(&items));
        }
        if self.pen.chance(50) {
            items.truncate(1);
        }
        if self.pen.chance(50) {
            let account = self.account_index(None);
            items.push(self.item(Cast::Told, account));
        }
        let body = body("instagram", &items, self.envelope());
        self.accepted(body, told(&items))
    }

    /// Whether the next delivery comes at once, in a burst, or when its time has come.
    fn turn(&mut self) {
        if let Some(burst) = &mut self.burst
            && burst.left > 0
        {
            burst.left -= 1;
            return;
        }
        self.moment = self.number;
        self.burst = (self.pen.below(BURST_ONCE_IN) == 0).then(|| Burst {
            kind: self.any_kind(),
            account: self.pen.below(self.cast.len() - 1),
            left: 8 + self.pen.below(32),
        });
    }

    pub(super) const fn accepted(&self, body: Bytes, events: Vec<Told>) -> Delivery {
        Delivery {
            number: self.number,
            moment: self.moment,
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
        self.turn();
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
