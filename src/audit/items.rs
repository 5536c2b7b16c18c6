//! The items of a delivery of the journal, understood afresh.

use std::panic::{AssertUnwindSafe, catch_unwind};

use uuid::Uuid;

use super::PAGE;
use crate::instagram::identity::receipt_id;
use crate::instagram::understand::{Reading, whole_delivery};
use crate::instagram::{Delivery, Event};

/// An item of the journal.
pub(super) struct Item {
    pub(super) event_type: String,
    pub(super) ig_account_id: String,
    pub(super) event_id: String,
    pub(super) delivery_id: Uuid,
    /// Of its message in the journal.
    pub(super) journal_sequence: u64,
}

impl Item {
    pub(super) fn of(event: Event, journal_sequence: u64) -> (Uuid, Self) {
        let item = Self {
            event_type: event.event_type,
            ig_account_id: event.ig_account_id,
            event_id: event.event_id,
            delivery_id: event.delivery_id,
            journal_sequence,
        };
        (event.receipt_id, item)
    }
}

pub(super) enum Understood {
    Items(Vec<(Uuid, Item)>),
    /// More than a page: they are to be understood once more, as they are asked for.
    Many,
}

/// As the publisher does: all the items of a delivery, or one of the whole where one of them panics.
pub(super) fn understood(delivery: &Delivery, sequence: u64) -> Understood {
    let items = catch_unwind(AssertUnwindSafe(|| {
        let (mut items, mut is_whole) = (Vec::new(), true);
        for event in Reading::of(delivery).events() {
            if items.len() == PAGE {
                is_whole = false;
                items.clear();
            }
            items.push(Item::of(event, sequence));
        }
        is_whole.then_some(items)
    }));
    match items {
        Ok(Some(items)) => Understood::Items(items),
        Ok(None) => Understood::Many,
        Err(_) => Understood::Items(vec![Item::of(whole_delivery(delivery, ""), sequence)]),
    }
}

pub(super) fn receipt_of_whole(delivery: &Delivery) -> Uuid {
    receipt_id(delivery.id, "")
}
