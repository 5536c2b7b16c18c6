//! The comparison that begins at the journal: every item of every delivery in it, understood afresh, has
//! its row or is in flight.
//!
//! What the publisher has acknowledged has its message, and, once the handler has acknowledged that, its
//! row; and no row is deleted before its delivery has left the journal. So an item without a row has a
//! message after its handler's floor, or something is wrong: read in the order publisher's floor, journal,
//! handlers' floors, rows, tombstones, messages, and last what the journal still holds. Whether a row has
//! its message is compared from the rows' side already.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::difference::{Difference, Wrong};
use super::items::{Item, Understood, receipt_of_whole, understood};
use super::journal::{Journal, Part, publisher};
use super::ledger::Deep;
use super::named::Named;
use super::told::Told;
use super::{AuditError, PAGE, PAGE_BYTES, Progress, Sources};
use crate::instagram::understand::Reading;
use crate::instagram::{Delivery, types};
use crate::stream::names::{Announcement, DELIVERIES, EVENTS};
use crate::stream::pages::{Pages, Stretch, state};

/// So many items without a row are gathered before their messages are looked for.
const GATHERED: usize = 100_000;

/// Compares, and names what is not among `known` yet.
pub(super) async fn compare(
    sources: &Sources<'_>,
    known: &Named,
) -> Result<(Deep, Named), AuditError> {
    let Progress { floor, .. } = publisher(sources).await?;
    let mut comparison = Comparison {
        sources,
        known,
        deep: Deep::default(),
        named: Named::default(),
        asked: HashMap::new(),
        gathered: HashMap::new(),
    };
    let mut journal = Journal::open(sources, Part::UpTo(floor)).await?;
    loop {
        let page = journal.next().await?;
        if page.is_empty() {
            break;
        }
        for (sequence, deliveries) in page {
            match deliveries {
                Ok(deliveries) => comparison.add(sequence, &deliveries).await?,
                Err(_) => comparison.deep.unreadable += 1,
            }
        }
    }
    comparison.ask().await?;
    comparison.settle().await?;
    Ok((comparison.deep, comparison.named))
}

struct Comparison<'a> {
    sources: &'a Sources<'a>,
    known: &'a Named,
    deep: Deep,
    named: Named,
    /// Items whose rows are still to be looked up.
    asked: HashMap<Uuid, Item>,
    /// Items without a row.
    gathered: HashMap<Uuid, Item>,
}

impl Comparison<'_> {
    async fn add(&mut self, sequence: u64, deliveries: &[Delivery]) -> Result<(), AuditError> {
        let buried = self.buried(deliveries).await?;
        for delivery in deliveries {
            self.deep.deliveries += 1;
            if buried.contains(&receipt_of_whole(delivery)) {
                self.deep.items += 1;
                self.deep.with_row += 1;
                continue;
            }
            match understood(delivery, sequence) {
                Understood::Items(items) => self.add_items(items).await?,
                Understood::Many => {
                    for event in Reading::of(delivery).events() {
                        self.add_items([Item::of(event, sequence)]).await?;
                    }
                }
            }
        }
        Ok(())
    }

    async fn add_items(
        &mut self,
        items: impl IntoIterator<Item = (Uuid, Item)>,
    ) -> Result<(), AuditError> {
        for (receipt, item) in items {
            self.deep.items += 1;
            self.asked.insert(receipt, item);
        }
        if self.asked.len() >= PAGE {
            self.ask().await?;
        }
        Ok(())
    }

    /// The deliveries that the publisher could not bear are there whole. They are not understood again:
    /// they may end this process, too.
    async fn buried(&self, deliveries: &[Delivery]) -> Result<HashSet<Uuid>, AuditError> {
        let receipts = deliveries.iter().map(receipt_of_whole);
        let rows = self.sources.store.standings_of(receipts).await?;
        Ok(rows.into_iter().map(|row| row.receipt).collect())
    }

    /// Looks up the rows; what has none is gathered.
    async fn ask(&mut self) -> Result<(), AuditError> {
        let mut asked = std::mem::take(&mut self.asked);
        self.take_those_with_row(&mut asked).await?;
        self.gathered.extend(asked);
        if self.gathered.len() >= GATHERED {
            self.settle().await?;
        }
        Ok(())
    }

    async fn take_those_with_row(
        &mut self,
        items: &mut HashMap<Uuid, Item>,
    ) -> Result<(), AuditError> {
        let receipts: Vec<Uuid> = items.keys().copied().collect();
        for receipts in receipts.chunks(PAGE) {
            let rows = self
                .sources
                .store
                .standings_of(receipts.iter().copied())
                .await?;
            for row in rows {
                self.deep.with_row += u64::from(items.remove(&row.receipt).is_some());
            }
        }
        Ok(())
    }

    /// Says of each gathered item why it has no row.
    async fn settle(&mut self) -> Result<(), AuditError> {
        let mut items = std::mem::take(&mut self.gathered);
        if items.is_empty() {
            return Ok(());
        }
        let floors = self.floors().await?;
        let after_floors = floors.values().filter(|progress| progress.waits);
        if let Some(after) = after_floors.map(|progress| progress.floor).min() {
            let (in_flight, _) = self.find(&items, &floors, after).await?;
            self.take_in_flight(&mut items, &in_flight);
        }
        // Stored meanwhile?
        self.take_those_with_row(&mut items).await?;
        let erased = self.sources.store.erased().await?;
        self.leave_out(&mut items, |receipt, item| {
            erased.covers(&item.ig_account_id, receipt)
        });
        if items.is_empty() {
            return Ok(());
        }
        let (in_flight, acknowledged) = self.find(&items, &floors, 0).await?;
        self.take_in_flight(&mut items, &in_flight);
        let held = state(self.sources.context, DELIVERIES).await?;
        let first = held.map_or(u64::MAX, |held| held.first_sequence);
        self.leave_out(&mut items, |_, item| item.journal_sequence < first);
        self.name(items, &acknowledged);
        Ok(())
    }

    async fn floors(&self) -> Result<HashMap<&'static str, Progress>, AuditError> {
        let mut floors = HashMap::new();
        for event_type in types::with_unknown() {
            let names = self
                .sources
                .topology
                .consumer_names("handler", event_type.name)?;
            floors.insert(event_type.name, self.sources.progress(&names).await?);
        }
        Ok(floors)
    }

    /// Which of the items have a message after `after`: one that waits for its handler, or one that it
    /// has acknowledged.
    async fn find(
        &self,
        items: &HashMap<Uuid, Item>,
        floors: &HashMap<&'static str, Progress>,
        after: u64,
    ) -> Result<(HashSet<Uuid>, HashSet<Uuid>), AuditError> {
        let (mut waiting, mut acknowledged) = (HashSet::new(), HashSet::new());
        let context = self.sources.context;
        let Some(state) = state(context, EVENTS).await? else {
            return Ok((waiting, acknowledged));
        };
        let stretch = Stretch {
            stream: EVENTS.to_owned(),
            filter: Announcement::Event.filter(None, None),
            after,
            up_to: state.last_sequence,
            headers_only: true,
        };
        let mut pages = Pages::open(context, stretch).await?;
        loop {
            let page = pages.next(PAGE, PAGE_BYTES).await?;
            if page.is_empty() {
                return Ok((waiting, acknowledged));
            }
            for told in page.into_iter().map(Told::of) {
                let Some(receipt) = told.receipt.filter(|receipt| items.contains_key(receipt))
                else {
                    continue;
                };
                let floor = floors.get(told.event_type()).map(|progress| progress.floor);
                if floor.is_some_and(|floor| told.sequence <= floor) {
                    acknowledged.insert(receipt);
                } else {
                    waiting.insert(receipt);
                }
            }
        }
    }

    fn take_in_flight(&mut self, items: &mut HashMap<Uuid, Item>, in_flight: &HashSet<Uuid>) {
        let before = items.len();
        items.retain(|receipt, _| !in_flight.contains(receipt));
        self.deep.in_flight += (before - items.len()) as u64;
    }

    fn leave_out(&mut self, items: &mut HashMap<Uuid, Item>, is_out: impl Fn(Uuid, &Item) -> bool) {
        let before = items.len();
        items.retain(|receipt, item| !is_out(*receipt, item));
        self.deep.left_out += (before - items.len()) as u64;
    }

    fn name(&mut self, items: HashMap<Uuid, Item>, acknowledged: &HashSet<Uuid>) {
        let mut items: Vec<_> = items.into_iter().collect();
        items.sort_unstable_by_key(|(receipt, _)| *receipt);
        for (receipt, item) in items {
            let wrong = if acknowledged.contains(&receipt) {
                self.deep.missing += 1;
                Wrong::Missing
            } else {
                self.deep.lost += 1;
                Wrong::Lost
            };
            if wrong == Wrong::Missing && self.known.may_have(receipt) {
                continue;
            }
            self.named.add(Difference {
                wrong,
                receipt: Some(receipt),
                event_type: item.event_type,
                ig_account_id: item.ig_account_id,
                event_id: item.event_id,
                delivery_id: Some(item.delivery_id),
                stream_sequence: None,
            });
        }
    }
}
