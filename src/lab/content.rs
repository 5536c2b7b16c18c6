//! Ids and texts such as Instagram sends.

use std::{borrow::Cow, sync::Arc};

use chrono::DateTime;
use rand::{RngExt, rngs::Xoshiro256PlusPlus};

use super::{
    shapes::{Id, Number},
    wire::{Escaping, FIRST_HALF, SECOND_HALF, to_json},
};

/// Writes ids, texts and JSON; all of it follows from the seed.
#[derive(Debug)]
pub struct Pen {
    rng: Xoshiro256PlusPlus,
    last_id: u64,
    /// How the JSON of the delivery at hand is written.
    pub escaping: Escaping,
}

/// `ig_dm_item:1:IGMessageID:1784140…` in the base64 dialect of real message ids, in which `Z`
/// escapes itself and what base64 has besides letters and digits.
const MID_START: &str = "aWdfZAG1faXRlbToxOklHTWVzc2FnZAUlEOjE3ODQxNDA";
const MID_ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789AZ";

impl Pen {
    /// A pen whose ids lie in a range of their own for each seed.
    #[must_use]
    pub fn new(mut rng: Xoshiro256PlusPlus) -> Self {
        let last_id = rng.random_range(17_850_000_000_000_000..18_150_000_000_000_000);
        Self {
            rng,
            last_id,
            escaping: Escaping::Meta,
        }
    }

    /// True in `percent` of the cases.
    pub fn chance(&mut self, percent: u32) -> bool {
        self.rng.random_range(0..100) < percent
    }

    /// A number below `bound`; 0 if that is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        if bound == 0 {
            0
        } else {
            self.rng.random_range(0..bound)
        }
    }

    /// A share of a hundred, `0.0..100.0`.
    pub fn percentile(&mut self) -> f64 {
        self.rng.random_range(0.0..100.0)
    }

    /// A number as Instagram writes it: now and then as text.
    pub fn number(&mut self, number: u64) -> Number {
        if self.chance(3) {
            Number::Text(number.to_string())
        } else {
            Number::Number(number)
        }
    }

    /// A time in milliseconds as a messaging item tells it, or a sample of one.
    pub fn timestamp(&mut self, ms: u64, is_sample: bool) -> Number {
        if is_sample {
            self.sample_time(ms)
        } else {
            self.number(ms)
        }
    }

    /// A time as Meta's samples write it: seconds, as text or as a number, or ISO 8601.
    pub fn sample_time(&mut self, ms: u64) -> Number {
        let iso = i64::try_from(ms)
            .ok()
            .and_then(DateTime::from_timestamp_millis);
        match (self.below(3), iso) {
            (0, Some(time)) => Number::Text(time.format("%Y-%m-%dT%H:%M:%S%z").to_string()),
            (1, _) => Number::Text((ms / 1_000).to_string()),
            _ => Number::Number(ms / 1_000),
        }
    }

    /// An id as Instagram writes it: now and then as a number.
    pub fn written<'a>(&mut self, id: &'a str) -> Id<'a> {
        match id.parse() {
            Ok(number) if self.chance(2) => Id::Number(number),
            _ => Id::Text(id),
        }
    }

    /// A count below `bound` as Meta's insights give it, or none.
    pub fn perhaps(&mut self, percent: u32, bound: i64) -> Option<i64> {
        self.chance(percent).then(|| self.figure(bound))
    }

    /// A count below `bound` as Meta's insights give it.
    pub fn figure(&mut self, bound: i64) -> i64 {
        let count = self.rng.random_range(0..bound);
        // Meta hides small numbers.
        if count < 5 { -1 } else { count }
    }

    /// One of `choices`, which must not be empty.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// An id of a comment, a media or an ad: 17 digits, above every id before it.
    pub fn id(&mut self) -> String {
        self.last_id += self.rng.random_range(1..64);
        self.last_id.to_string()
    }

    /// An Instagram-scoped id of a person.
    pub fn scoped_id(&mut self) -> String {
        self.rng
            .random_range(200_000_000_000_000_u64..9_900_000_000_000_000)
            .to_string()
    }

    /// A message id: letters and digits only, about 150 of them.
    pub fn mid(&mut self) -> Arc<str> {
        let mut mid = String::with_capacity(160);
        mid.push_str(MID_START);
        for _ in 0..10 {
            let mut bits: u64 = self.rng.random();
            for _ in 0..10 {
                mid.push(char::from(MID_ALPHABET[(bits & 63) as usize]));
                bits >>= 6;
            }
        }
        mid.push_str("ZD");
        mid.into()
    }

    /// A link to a media file at Instagram's CDN.
    pub fn media_url(&mut self) -> String {
        format!(
            "https://lookaside.fbsbx.com/ig_messaging_cdn/?asset_id={}&signature={:x}",
            self.id(),
            self.rng.random::<u64>()
        )
    }

    /// What a person might write: any script, emoji, sometimes several sentences.
    pub fn text(&mut self) -> Cow<'static, str> {
        let phrase = self.pick(PHRASES);
        match self.below(1_000) {
            0..5 => self.odd_text(),
            5..9 => LONG_PHRASE.repeat(12).into(),
            9 => LONG_PHRASE.repeat(50 + self.below(400)).into(),
            10..300 => format!("{phrase} {}", self.pick(EMOJI)).into(),
            300..500 => format!("{phrase} {}", self.pick(PHRASES)).into(),
            _ => phrase.into(),
        }
    }

    /// Rare, and legal: nothing at all, U+0000, half an emoji, and the like.
    fn odd_text(&mut self) -> Cow<'static, str> {
        match self.below(3) {
            0 => format!("cut here {FIRST_HALF}").into(),
            1 => format!("{SECOND_HALF} goes on here").into(),
            _ => self.pick(ODD_TEXTS).into(),
        }
    }

    /// An emoji of one code point or of many.
    pub fn emoji(&mut self) -> &'static str {
        self.pick(EMOJI)
    }

    /// A user name: letters, digits, `.` and `_`.
    pub fn username(&mut self) -> String {
        format!(
            "{}{}{}",
            self.pick(&[
                "maria",
                "j.doe",
                "_nora_",
                "studio.k",
                "ali",
                "yuki",
                "the_real_sam"
            ]),
            self.pick(&["", ".", "_", "__"]),
            self.below(10_000)
        )
    }

    /// `value` as JSON, in the escaping of the delivery at hand.
    #[must_use]
    pub fn json(&self, value: &impl serde::Serialize) -> Vec<u8> {
        to_json(value, self.escaping)
    }
}

/// Reactions and ends of sentences; skin tones, flags and ZWJ sequences of up to 35 bytes.
const EMOJI: &[&str] = &[
    "❤",
    "❤️",
    "😂",
    "😍",
    "👍🏽",
    "🔥",
    "👏🏿",
    "🇧🇷",
    "🏳️‍🌈",
    "👩🏽‍🚀",
    "👨‍👩‍👧‍👦",
    "👩🏻‍❤️‍💋‍👨🏿",
    "🏴󠁧󠁢󠁳󠁣󠁴󠁿",
    "🧑🏾‍🤝‍🧑🏼",
    "1️⃣",
];

const PHRASES: &[&str] = &[
    "hi! is this still available?",
    "How much is shipping to Canada",
    "love this!!",
    "ok",
    "Thank you so much, it arrived today",
    "can you send me the link? https://example.com/shop/item?id=42&ref=ig",
    "She said \"yes\" \\o/",
    "first line\nsecond line\n\tthird, indented",
    "@friend you have to see this #sale",
    "<script>alert('hi')</script>",
    "'; DROP TABLE comments; --",
    "100% real? 50/50",
    "schöne Grüße aus Köln",
    "Où est la boutique ?",
    "¡Qué bonito! ¿Tienen más colores?",
    "Привет, сколько стоит?",
    "こんにちは、在庫はありますか？",
    "안녕하세요 가격 문의드려요",
    "多少钱？可以寄到台湾吗",
    "नमस्ते, क्या यह उपलब्ध है?",
    "สวัสดีค่ะ ราคาเท่าไหร่คะ",
    "مرحبا، كم السعر من فضلك؟",
    "שלום, כמה עולה המשלוח?",
    "سلام، قیمت این محصول چنده؟",
    "order #1234 → وصل الطلب، شكراً (2 pcs)",
    "👨‍👩‍👧‍👦👨‍👩‍👧‍👦 family order",
    "💯💯💯",
    "Z͑ͫa̴l͟g͞o",
];

/// Nothing at all, U+0000, a text direction turned round, a lone joiner.
const ODD_TEXTS: &[&str] = &["", "nul\u{0}inside", "\u{202e}dekcab", "\u{200d}", " "];

const LONG_PHRASE: &str = "A long story, told in one go, without a pause. Это длинный рассказ. 🙂 ";
