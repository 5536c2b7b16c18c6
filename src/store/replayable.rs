//! What can be processed again: rows of the generic log, and what becomes of each.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use entity::webhook_event::status::{DEAD, DISCARDED, DUPLICATE, STORED};
use entity::webhook_event::{Column, Entity, Model};
use futures::TryStreamExt;
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::unassigned::{Kept, with_text};
use super::{Store, StoreError};
use crate::instagram::Event;
use crate::instagram::event::UNKNOWN;
use crate::instagram::identity::first_receipt_at;

/// How far the time in a receipt may be from when its delivery was received.
const SLACK: TimeDelta = TimeDelta::seconds(10);

/// Which events are meant; all that is given has to be so.
#[derive(Debug, Clone, Default)]
pub struct Replayable {
    /// This type.
    pub event_type: Option<String>,
    /// This account, as received.
    pub ig_account_id: Option<String>,
    /// Received then or later.
    pub from: Option<DateTime<Utc>>,
    /// Received then or earlier.
    pub to: Option<DateTime<Utc>>,
}

impl Replayable {
    /// Whether what was received then came within the time meant.
    #[must_use]
    pub fn is_in_time(&self, received_at: DateTime<Utc>) -> bool {
        self.from.is_none_or(|from| received_at >= from)
            && self.to.is_none_or(|to| received_at <= to)
    }

    /// Whether this type of this account is meant.
    #[must_use]
    pub fn is_of(&self, event_type: &str, ig_account_id: &str) -> bool {
        let is = |wanted: &Option<String>, of: &str| wanted.as_ref().is_none_or(|it| it == of);
        is(&self.event_type, event_type) && is(&self.ig_account_id, ig_account_id)
    }

    /// Before when rows of those meant may be deleted, where they stay `days`; `None` where all are there.
    #[must_use]
    pub fn may_lack_before(&self, days: u32, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let before = now.checked_sub_signed(TimeDelta::days(i64::from(days)))?;
        let is_meant = days > 0 && self.from.is_none_or(|from| from < before);
        is_meant.then(|| self.to.map_or(before, |to| Ord::min(before, to)))
    }

    /// Receipts are in the order of time: a time is about a place among them, and the
    /// rows beyond it need not be looked at.
    fn place(time: DateTime<Utc>, slack: TimeDelta) -> Option<Uuid> {
        time.checked_add_signed(slack).map(first_receipt_at)
    }

    fn condition(&self, store: &Store) -> Condition {
        let first = self.from.and_then(|from| Self::place(from, -SLACK));
        let end = self.to.and_then(|to| Self::place(to, SLACK));
        let received = || Expr::col(Column::ReceivedAt);
        Condition::all()
            .add_option(first.map(|first| Column::Id.gte(first)))
            .add_option(end.map(|end| Column::Id.lt(end)))
            .add_option(self.from.map(|from| received().gte(store.time(from))))
            .add_option(self.to.map(|to| received().lte(store.time(to))))
            .add_option(self.event_type.as_ref().map(|it| Column::EventType.eq(it)))
            .add_option(
                self.ig_account_id
                    .as_ref()
                    .map(|it| Column::IgAccountId.eq(it)),
            )
    }
}

/// What can be done with an event that has a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Stored: its typed rows are written again.
    Replay,
    /// It waits for its account or its next attempt, or is dead: it is tried again.
    OnceMore,
    /// Nothing.
    Leave(Left),
}

impl Way {
    /// The same, where the parser makes something of `event` as one of its type.
    #[must_use]
    pub fn if_understood(self, event: &Event) -> Self {
        match self {
            Self::Replay | Self::OnceMore
                if event.data.is_empty() && event.event_type != UNKNOWN =>
            {
                Self::Leave(Left::NotUnderstood)
            }
            way => way,
        }
    }
}

/// Why an event is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[schema(as = ReplayLeft)]
#[serde(rename_all = "snake_case")]
pub enum Left {
    /// Instagram had told it before: the first telling of it has the rows.
    Duplicate,
    /// A malformed item is the same again.
    Malformed,
    /// An operator gave it up.
    Discarded,
    /// What a person unsent stays blanked.
    Blanked,
    /// Of none of the types: it has no typed row.
    Unknown,
    /// Only the journal has the item, which was too large for a message.
    OnlyInJournal,
    /// Today's parser makes nothing of it as an event of its type.
    NotUnderstood,
    /// The row of its account was deleted.
    WithoutAccount,
    /// Its account was erased.
    Erased,
    /// It is not stored yet.
    InFlight,
}

/// What the row of a receipt says that matters to a replay.
#[derive(Debug, Clone, sea_orm::FromQueryResult)]
pub struct RowHead {
    /// The receipt.
    pub id: Uuid,
    /// The type that the event is of for ever.
    pub event_type: String,
    /// What happened, as it was understood when it came.
    pub event_id: String,
    status: String,
    deaths: i32,
    instagram_account_id: Option<Uuid>,
    has_payload: bool,
}

impl RowHead {
    fn of(row: &Model) -> Self {
        Self {
            id: row.id,
            event_type: row.event_type.clone(),
            event_id: row.event_id.clone(),
            status: row.status.clone(),
            deaths: row.deaths,
            instagram_account_id: row.instagram_account_id,
            has_payload: row.payload.is_some(),
        }
    }

    /// What can be done with the event.
    #[must_use]
    pub fn way(&self) -> Way {
        let is_unknown = self.event_type == UNKNOWN;
        match self.status.as_str() {
            DUPLICATE => Way::Leave(Left::Duplicate),
            DISCARDED => Way::Leave(Left::Discarded),
            DEAD if is_unknown => Way::Leave(Left::Malformed),
            _ if !self.has_payload => Way::Leave(Left::Blanked),
            STORED if is_unknown => Way::Leave(Left::Unknown),
            STORED if self.instagram_account_id.is_none() => Way::Leave(Left::WithoutAccount),
            STORED => Way::Replay,
            _ => Way::OnceMore,
        }
    }

    /// Its how-manieth death it has to be brought back from, if it is dead.
    #[must_use]
    pub fn death(&self) -> Option<i32> {
        (self.status == DEAD).then_some(self.deaths)
    }
}

/// An event of the generic log, and what can be done with it.
#[derive(Debug)]
pub struct Logged {
    /// The event, understood again by today's parser.
    pub event: Event,
    /// What its row says.
    pub head: RowHead,
    /// What can be done with it.
    pub way: Way,
}

impl Store {
    /// Up to `limit` events of the generic log after `after`, the oldest first; fewer
    /// where their items weigh more than `bytes`.
    pub async fn replayable(
        &self,
        which: &Replayable,
        after: Option<Uuid>,
        limit: u64,
        bytes: usize,
    ) -> Result<Vec<Logged>, StoreError> {
        let later = after.map(|after| Column::Id.gt(after));
        let rows = Entity::find()
            .filter(which.condition(self))
            .filter(Condition::all().add_option(later))
            .order_by_asc(Column::Id)
            .limit(limit);
        let mut rows = with_text(rows).stream(&self.database).await?;
        let (mut page, mut weight) = (Vec::new(), 0);
        while weight < bytes
            && let Some(row) = rows.try_next().await?
        {
            let logged = logged(row);
            weight += logged.event.raw.as_ref().map_or(0, |raw| raw.get().len());
            page.push(logged);
        }
        Ok(page)
    }

    /// What the rows of these receipts say; those that have none are left out.
    pub async fn heads(&self, receipts: &[Uuid]) -> Result<HashMap<Uuid, RowHead>, StoreError> {
        let heads: Vec<RowHead> = Entity::find()
            .select_only()
            .columns([
                Column::Id,
                Column::EventType,
                Column::EventId,
                Column::Status,
                Column::Deaths,
                Column::InstagramAccountId,
            ])
            .column_as(Expr::col(Column::Payload).is_not_null(), "has_payload")
            .filter(Column::Id.is_in(receipts.iter().copied()))
            .into_model()
            .all(&self.database)
            .await?;
        Ok(heads.into_iter().map(|head| (head.id, head)).collect())
    }
}

fn logged(kept: Kept) -> Logged {
    let head = RowHead::of(&kept.row);
    let event = kept.event();
    let way = match head.way() {
        Way::Replay if event.raw_omitted => Way::Leave(Left::OnlyInJournal),
        way => way.if_understood(&event),
    };
    Logged { event, head, way }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_gone_is_said_of_times_that_are_meant() {
        let now = DateTime::<Utc>::UNIX_EPOCH + TimeDelta::days(1000);
        let ago = |days| now - TimeDelta::days(days);
        let which = |from, to| Replayable {
            from,
            to,
            ..Replayable::default()
        };
        for (which, days, wanted) in [
            (which(None, None), 90, Some(ago(90))),
            (which(Some(ago(91)), None), 90, Some(ago(90))),
            (which(Some(ago(100)), Some(ago(95))), 90, Some(ago(95))),
            (which(Some(ago(90)), None), 90, None),
            (which(None, None), 0, None),
        ] {
            assert_eq!(which.may_lack_before(days, now), wanted, "{which:?}");
        }
    }
}
