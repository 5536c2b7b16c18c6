//! A comment on a live video: shaped like any other comment.

use std::borrow::Cow;

use super::{EventType, Plan, Thread, comment};

/// Live comments.
pub static TYPE: EventType = EventType {
    name: "live_comment",
    priority: 2,
    claims: |item| item.field.as_deref() == Some("live_comments"),
    understand: |item| comment::meaning(item, "live_comment", "live_video", true),
    tables: &[&comment::TABLE],
    plan: |event| Plan::one(&comment::TABLE, Cow::Borrowed(&event.data), Thread::None),
};
