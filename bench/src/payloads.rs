//! Deliveries as Instagram posts them, made without end and the same each time: a shop's usual mixture of the nine
//! types.

use std::fmt::Write as _;

use bytes::Bytes;

/// The accounts that are told about.
pub const ACCOUNTS: usize = 20;
/// The people who write to each of them.
const PEOPLE: usize = 200;
/// When it all happened, in milliseconds since 1970.
const BEGINNING: u64 = 1_795_536_000_000;

/// The types of a hundred events, as they are mixed.
const MIXTURE: [(Kind, usize); 9] = [
    (Kind::Message, 40),
    (Kind::Seen, 16),
    (Kind::Comment, 16),
    (Kind::Reaction, 10),
    (Kind::Postback, 5),
    (Kind::LiveComment, 5),
    (Kind::StoryMention, 3),
    (Kind::Mention, 3),
    (Kind::Insight, 2),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Comment,
    LiveComment,
    Mention,
    Message,
    StoryMention,
    Reaction,
    Postback,
    Seen,
    Insight,
}

/// `bodies`, of which one in twenty is told twice: one half of these again after three others, one half far later.
#[must_use]
pub fn with_repeats(bodies: &[Bytes]) -> Vec<Bytes> {
    let far = bodies.len() / 40 * 20;
    let mut all = Vec::with_capacity(bodies.len() * 21 / 20 + 1);
    for (nth, body) in bodies.iter().enumerate() {
        all.push(body.clone());
        if nth % 40 == 10 {
            all.push(bodies[nth - 3].clone());
        }
        if nth >= far && nth % 20 == 0 {
            all.push(bodies[nth - far].clone());
        }
    }
    all
}

/// The account's id with Instagram.
#[must_use]
pub fn account(number: usize) -> String {
    format!("178414058223{:05}", number % ACCOUNTS)
}

/// Makes deliveries of events that were never told before, from `next` on.
#[derive(Debug, Clone)]
pub struct Payloads {
    next: u64,
    wheel: Vec<Kind>,
}

impl Payloads {
    /// Events from number `next` on.
    #[must_use]
    pub fn from(next: u64) -> Self {
        let mut wheel = Vec::new();
        for (kind, share) in MIXTURE {
            wheel.extend(std::iter::repeat_n(kind, share));
        }
        Self { next, wheel }
    }

    /// The next `number` deliveries of `items` events each.
    #[must_use]
    pub fn deliveries(&mut self, number: usize, items: usize) -> Vec<Bytes> {
        (0..number).map(|_| self.delivery(items)).collect()
    }

    /// All items of a delivery are of one account and stand in one list.
    fn delivery(&mut self, items: usize) -> Bytes {
        let (mut changes, mut messaging) = (Vec::new(), Vec::new());
        let account = account(usize::try_from(self.next).unwrap_or(0) / items.max(1));
        for _ in 0..items {
            let number = self.next;
            self.next += 1;
            let kind = self.kind(number);
            let item = item(kind, number, &account);
            match kind {
                Kind::Comment | Kind::LiveComment | Kind::Mention | Kind::Insight => {
                    changes.push(item);
                }
                _ => messaging.push(item),
            }
        }
        let mut lists = Vec::new();
        for (name, items) in [("changes", changes), ("messaging", messaging)] {
            if !items.is_empty() {
                lists.push(format!("\"{name}\":[{}]", items.join(",")));
            }
        }
        let time = (BEGINNING + self.next) / 1000;
        Bytes::from(format!(
            r#"{{"object":"instagram","entry":[{{"id":"{account}","time":{time},{}}}]}}"#,
            lists.join(",")
        ))
    }

    /// Spread, so that neighbours are of different types.
    fn kind(&self, number: u64) -> Kind {
        let turn = usize::try_from(number % 100).unwrap_or(0);
        self.wheel[turn * 37 % 100]
    }
}

fn person(number: u64, account: &str) -> String {
    let nth = usize::try_from(scattered(number)).unwrap_or(0) % PEOPLE;
    format!("{}{nth:04}", &account[4..])
}

/// Numbers without an order, as ids of Instagram's are.
fn scattered(number: u64) -> u64 {
    let mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ (mixed >> 31)) >> 1
}

/// As long as Instagram's are.
fn mid(number: u64) -> String {
    format!(
        "aWdfZAG1faXRlbToxOklHTWVzc2FnZAUlEOjE3ODQxNDA1ODIyMzA0OTE0OjM0MDI4MjM2Njg0MTcxMDMwMTI0NDI1OTU2NTQ3MTMxNzUx{:020}{number:012}",
        scattered(number)
    )
}

fn text(number: u64) -> String {
    const WORDS: [&str; 12] = [
        "hello",
        "is",
        "this",
        "still",
        "there",
        "in",
        "blue",
        "size",
        "how",
        "much",
        "please",
        "\\u2764\\ufe0f",
    ];
    let (mut text, mut rest) = (String::new(), scattered(number));
    for _ in 0..4 + rest % 9 {
        let word = WORDS[usize::try_from(rest % 12).unwrap_or(0)];
        let _ = write!(text, "{word} ");
        rest = scattered(rest);
    }
    text.trim_end().to_owned()
}

fn item(kind: Kind, number: u64, account: &str) -> String {
    let who = person(number, account);
    let time = BEGINNING + number;
    let id = 17_900_000_000_000_000 + scattered(number) % 99_999_999_999_999;
    let media = 17_890_000_000_000_000 + number % 500;
    let (mid_now, mid_before) = (mid(number), mid(number.saturating_sub(3)));
    let between =
        format!(r#""sender":{{"id":"{who}"}},"recipient":{{"id":"{account}"}},"timestamp":{time}"#);
    match kind {
        Kind::Comment => format!(
            r#"{{"field":"comments","value":{{"id":"{id}","from":{{"id":"{who}","username":"person_{who}"}},"media":{{"id":"{media}","media_product_type":"FEED"}},"text":"{}"}}}}"#,
            text(number)
        ),
        Kind::LiveComment => format!(
            r#"{{"field":"live_comments","value":{{"id":"{id}","from":{{"id":"{who}","username":"person_{who}"}},"media":{{"id":"{media}","media_product_type":"LIVE"}},"text":"{}"}}}}"#,
            text(number)
        ),
        Kind::Mention => format!(
            r#"{{"field":"mentions","value":{{"media_id":"{media}","comment_id":"{id}"}}}}"#
        ),
        Kind::Insight => format!(
            r#"{{"field":"story_insights","value":{{"media_id":"{id}","impressions":{},"reach":{},"taps_forward":{},"taps_back":3,"exits":7,"replies":1}}}}"#,
            number % 5000,
            number % 4000,
            number % 300
        ),
        Kind::Message => format!(
            r#"{{{between},"message":{{"mid":"{mid_now}","text":"{}"}}}}"#,
            text(number)
        ),
        Kind::StoryMention => format!(
            r#"{{{between},"message":{{"mid":"{mid_now}","attachments":[{{"type":"story_mention","payload":{{"url":"https://lookaside.example/ig_messaging_cdn/?asset_id={id}&signature=Abc"}}}}]}}}}"#
        ),
        Kind::Reaction => format!(
            r#"{{{between},"reaction":{{"mid":"{mid_before}","action":"react","reaction":"love","emoji":"\u2764\ufe0f"}}}}"#
        ),
        Kind::Postback => format!(
            r#"{{{between},"postback":{{"mid":"{mid_now}","title":"Order now","payload":"ORDER_{}"}}}}"#,
            number % 50
        ),
        Kind::Seen => format!(r#"{{{between},"read":{{"mid":"{mid_before}"}}}}"#),
    }
}
