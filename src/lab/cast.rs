//! Who takes part: accounts, the people who write to them, and what they said before.
//!
//! Reactions, receipts, edits and the like refer to messages that were sent earlier, so each
//! conversation remembers its last few.

use std::{collections::VecDeque, sync::Arc};

use super::content::Pen;

const PEOPLE_PER_ACCOUNT: usize = 40;
const POSTS_PER_ACCOUNT: usize = 20;
const REMEMBERED_MESSAGES: usize = 8;

/// The ids of the first `count` accounts. They do not depend on the seed, so that they can be
/// added to a service once.
#[must_use]
pub fn account_ids(count: usize) -> Vec<String> {
    (0..count as u64)
        .map(|number| {
            let tail = (5_822_304_914 + number * 7_919_003_357) % 100_000_000_000;
            format!("178414{tail:011}")
        })
        .collect()
}

/// A professional account that gets webhooks.
#[derive(Debug)]
pub struct Account {
    /// `entry.id`.
    pub id: Arc<str>,
    /// Its posts and reels, media ids; made up as they are needed.
    posts: Vec<String>,
    /// Who writes to it; likewise.
    people: Vec<Person>,
    /// The account as its own correspondent: the recipient of what it sends to itself.
    pub scoped_id: Option<String>,
    /// It is that of the dashboard's test button.
    pub is_sample: bool,
    /// The last comment, to be replied to.
    pub last_comment: Option<String>,
    /// The last story that insights were sent of, and when, in seconds since 1970.
    pub last_story: Option<(String, u64)>,
}

/// A person and the conversation with them.
#[derive(Debug)]
pub struct Person {
    /// Instagram-scoped id.
    pub id: String,
    /// User name.
    pub username: String,
    messages: VecDeque<Sent>,
    last_event_ms: u64,
}

/// A message of a conversation.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools)]
pub struct Sent {
    /// Its id.
    pub mid: Arc<str>,
    /// Sent by the account (an echo) or by the person.
    pub by_account: bool,
    /// How often it was edited.
    pub edits: u64,
    /// It was taken back.
    pub unsent: bool,
    /// The edit number 0 was sent.
    pub announced: bool,
    /// The person's reaction stands.
    pub reacted: bool,
    last_event_ms: u64,
}

/// The cast of a run.
#[must_use]
pub fn accounts(count: usize) -> Vec<Account> {
    account_ids(count)
        .into_iter()
        .map(|id| Account::new(&id, false))
        .collect()
}

/// The account that the dashboard's test button tells about.
#[must_use]
pub fn sample_account() -> Account {
    Account::new("0", true)
}

impl Account {
    fn new(id: &str, is_sample: bool) -> Self {
        Self {
            id: id.into(),
            posts: Vec::new(),
            people: Vec::new(),
            scoped_id: None,
            is_sample,
            last_comment: None,
            last_story: None,
        }
    }

    /// How far apart two of its events must be that only their time tells apart, in milliseconds.
    #[must_use]
    pub const fn apart_ms(&self) -> u64 {
        // The samples tell seconds.
        if self.is_sample { 1_000 } else { 1 }
    }

    /// One of the people.
    pub fn person(&mut self, pen: &mut Pen) -> &mut Person {
        let index = pen.below(PEOPLE_PER_ACCOUNT).min(self.people.len());
        if index == self.people.len() {
            self.people.push(Person::new(pen));
        }
        &mut self.people[index]
    }

    /// One of the posts.
    pub fn post(&mut self, pen: &mut Pen) -> &str {
        let index = pen.below(POSTS_PER_ACCOUNT).min(self.posts.len());
        if index == self.posts.len() {
            self.posts.push(pen.id());
        }
        &self.posts[index]
    }
}

impl Person {
    fn new(pen: &mut Pen) -> Self {
        Self {
            id: pen.scoped_id(),
            username: pen.username(),
            messages: VecDeque::new(),
            last_event_ms: 0,
        }
    }

    /// A new message of the conversation.
    pub fn send(&mut self, pen: &mut Pen, by_account: bool, now_ms: u64) -> Arc<str> {
        let mid = pen.mid();
        if self.messages.len() == REMEMBERED_MESSAGES {
            self.messages.pop_front();
        }
        self.messages.push_back(Sent {
            mid: Arc::clone(&mid),
            by_account,
            edits: 0,
            unsent: false,
            announced: false,
            reacted: false,
            last_event_ms: now_ms,
        });
        mid
    }

    /// A time that no other event of the person has that asked for one here.
    pub fn next_event_ms(&mut self, now_ms: u64, apart_ms: u64) -> u64 {
        self.last_event_ms = now_ms.max(self.last_event_ms + apart_ms);
        self.last_event_ms
    }

    /// The message sent last.
    pub fn newest(&mut self) -> Option<&mut Sent> {
        self.messages.back_mut()
    }

    /// A message sent before that `fits`, if one is remembered.
    pub fn earlier(&mut self, pen: &mut Pen, fits: impl Fn(&Sent) -> bool) -> Option<&mut Sent> {
        let index = self.position(pen, fits)?;
        self.messages.get_mut(index)
    }

    /// Such a message, or the `newest`, whatever it is; or else one from before anybody listened,
    /// as it happens in life.
    pub fn earlier_or_unheard(
        &mut self,
        pen: &mut Pen,
        now_ms: u64,
        newest: bool,
        fits: impl Fn(&Sent) -> bool,
    ) -> &mut Sent {
        let newest = self.messages.len().checked_sub(1).filter(|_| newest);
        let index = newest
            .or_else(|| self.position(pen, fits))
            .unwrap_or_else(|| {
                self.send(pen, true, now_ms.saturating_sub(60_000));
                self.messages.len() - 1
            });
        &mut self.messages[index]
    }

    fn position(&self, pen: &mut Pen, fits: impl Fn(&Sent) -> bool) -> Option<usize> {
        let count = self.messages.len();
        let start = pen.below(count);
        (0..count)
            .map(|step| (start + step) % count)
            .find(|&index| fits(&self.messages[index]))
    }
}

impl Sent {
    /// The time of the next event of this message: `now_ms`, but `apart_ms` later than the one
    /// before, since the time is all that tells two of them apart.
    pub fn next_event_ms(&mut self, now_ms: u64, apart_ms: u64) -> u64 {
        self.last_event_ms = now_ms.max(self.last_event_ms + apart_ms);
        self.last_event_ms
    }
}
