//! Messages: what people and accounts write to each other, edit and take back.

use std::sync::Arc;

use super::{
    attachments::{attachments, linked, referral, reply_to_message, reply_to_story},
    cast::{Account, Person, Sent},
    content::Pen,
    draft::{Draft, Drafts},
    expectation::Expectation,
    kind::{Kind, Place},
    shapes::{Message, MessageEdit, Messaging, Number, Party},
};

/// The app of the platform that sends messages for the account.
const APP_ID: u64 = 936_619_743_392_459;

/// A messaging item without what it is about.
pub(super) fn envelope<'a>(
    pen: &mut Pen,
    from: &'a str,
    to: &'a str,
    timestamp: Number,
) -> Messaging<'a> {
    Messaging {
        sender: Some(Party {
            id: pen.written(from),
        }),
        recipient: Some(Party {
            id: pen.written(to),
        }),
        timestamp,
        message: None,
        message_edit: None,
        reaction: None,
        postback: None,
        read: None,
        is_self: false,
    }
}

pub(super) fn draft(field: &'static str, event_id: String, json: Vec<u8>) -> Draft {
    Draft {
        event_id: Some(event_id),
        field,
        place: Place::Messaging,
        json,
    }
}

/// Whose item it is, and when.
pub(super) struct Scene {
    pub account: Arc<str>,
    pub now_ms: u64,
    /// That moment as the account's items tell it.
    pub timestamp: Number,
    pub is_sample: bool,
    /// As in [`Account::apart_ms`].
    pub apart_ms: u64,
}

impl Scene {
    pub(super) fn new(pen: &mut Pen, account: &Account, now_ms: u64) -> Self {
        Self {
            account: Arc::clone(&account.id),
            now_ms,
            timestamp: pen.timestamp(now_ms, account.is_sample),
            is_sample: account.is_sample,
            apart_ms: account.apart_ms(),
        }
    }

    fn direction<'a>(&'a self, person: &'a Person, is_echo: bool) -> (&'a str, &'a str) {
        if is_echo {
            (&self.account, &person.id)
        } else {
            (&person.id, &self.account)
        }
    }
}

pub(super) fn message(pen: &mut Pen, account: &mut Account, now_ms: u64) -> Drafts {
    let scene = Scene::new(pen, account, now_ms);
    if pen.chance(1) {
        return (to_itself(pen, account, &scene), None);
    }
    let person = account.person(pen);
    let turn = pen.below(100);
    if turn >= 9 {
        return (new_message(pen, &scene, person), None);
    }
    let late = late_message(pen, &scene, person, 10);
    let told_before = match turn {
        0..3 => unsent(pen, &scene, person, late.is_some()),
        3..7 => edited(pen, &scene, person, late.is_some()),
        _ => announced(pen, &scene, person, late.is_some()),
    };
    match told_before {
        Some(draft) => (draft, late),
        None => (new_message(pen, &scene, person), late),
    }
}

/// In `percent` of the cases a new message of the conversation that is told only after what is
/// told about it now.
pub(super) fn late_message(
    pen: &mut Pen,
    scene: &Scene,
    person: &mut Person,
    percent: u32,
) -> Option<(Kind, Expectation, Draft)> {
    pen.chance(percent).then(|| {
        let message = new_message(pen, scene, person);
        (Kind::Message, Expectation::Stored, message)
    })
}

/// The message that something is told about: the newest, or any that `fits`.
fn subject<'a>(
    pen: &mut Pen,
    person: &'a mut Person,
    newest: bool,
    fits: impl Fn(&Sent) -> bool,
) -> Option<&'a mut Sent> {
    if newest {
        person.newest()
    } else {
        person.earlier(pen, fits)
    }
}

fn unsent(pen: &mut Pen, scene: &Scene, person: &mut Person, newest: bool) -> Option<Draft> {
    let sent = subject(pen, person, newest, |sent| !sent.unsent)?;
    sent.unsent = true;
    let (mid, is_echo) = (Arc::clone(&sent.mid), sent.by_account);
    let (from, to) = scene.direction(person, is_echo);
    let mut item = envelope(pen, from, to, scene.timestamp.clone());
    item.message = Some(Message {
        mid: Some(&mid),
        is_deleted: true,
        is_echo,
        ..Message::default()
    });
    let event_id = format!("message_{mid}_{from}_deleted");
    Some(draft(field(is_echo), event_id, pen.json(&item)))
}

const fn field(is_echo: bool) -> &'static str {
    if is_echo {
        "message_echoes"
    } else {
        "messages"
    }
}

fn edited(pen: &mut Pen, scene: &Scene, person: &mut Person, newest: bool) -> Option<Draft> {
    let sent = subject(pen, person, newest, |sent| !sent.unsent && sent.edits < 5)?;
    sent.edits += 1;
    let (mid, edits, is_echo) = (Arc::clone(&sent.mid), sent.edits, sent.by_account);
    let text = (!pen.chance(10)).then(|| pen.text());
    let (from, to) = scene.direction(person, is_echo);
    let mut item = envelope(pen, from, to, scene.timestamp.clone());
    item.message_edit = Some(MessageEdit {
        mid: &mid,
        text: text.as_deref(),
        num_edit: pen.number(edits),
    });
    let event_id = format!("message_{mid}_{from}_edit{edits}");
    Some(draft("message_edit", event_id, pen.json(&item)))
}

/// The edit number 0 that production sends beside a new message: no text and no parties.
fn announced(pen: &mut Pen, scene: &Scene, person: &mut Person, newest: bool) -> Option<Draft> {
    let sent = subject(pen, person, newest, |sent| !sent.announced)?;
    sent.announced = true;
    let mid = Arc::clone(&sent.mid);
    let mut item = envelope(pen, "", "", scene.timestamp.clone());
    (item.sender, item.recipient) = (None, None);
    item.message_edit = Some(MessageEdit {
        mid: &mid,
        text: None,
        num_edit: pen.number(0),
    });
    let event_id = format!("message_{mid}_-_edit0");
    Some(draft("message_edit", event_id, pen.json(&item)))
}

fn new_message(pen: &mut Pen, scene: &Scene, person: &mut Person) -> Draft {
    let is_echo = pen.chance(25);
    let answered = person
        .earlier(pen, |sent| !sent.unsent)
        .map(|sent| Arc::clone(&sent.mid));
    let mid = person.send(pen, is_echo, scene.now_ms);
    let text = pen.text();
    let mut message = Message {
        mid: Some(&mid),
        is_echo,
        ..Message::default()
    };
    match pen.below(100) {
        0..24 => message.attachments = attachments(pen),
        24..25 => message.is_unsupported = true,
        _ => {
            message.text = Some(&text);
            connect(pen, &mut message, answered.as_deref());
        }
    }
    if is_echo && pen.chance(60) {
        message.app_id = Some(APP_ID);
        message.metadata = pen.chance(20).then_some("campaign=winter;step=2/3");
    }
    let (from, to) = scene.direction(person, is_echo);
    let mut item = envelope(pen, from, to, scene.timestamp.clone());
    item.message = Some(message);
    let event_id = format!("message_{mid}_{from}");
    draft(field(is_echo), event_id, pen.json(&item))
}

/// What a text answers, or came by.
fn connect(pen: &mut Pen, message: &mut Message<'_>, answered: Option<&str>) {
    match pen.below(100) {
        0..10 => message.reply_to = answered.map(|mid| reply_to_message(pen, mid)),
        10..16 if !message.is_echo => message.reply_to = Some(reply_to_story(pen)),
        16..20 if !message.is_echo => {
            let payload = pen.pick(&["SIZE_M", "YES", "größe/ﬂ 👕"]);
            message.quick_reply = Some(serde_json::json!({ "payload": payload }));
        }
        20..22 if !message.is_echo => message.referral = Some(referral(pen)),
        22..24 => message.folder = Some("general"),
        _ => {}
    }
}

/// What the account writes to itself; its own scoped id is the recipient's.
fn to_itself(pen: &mut Pen, account: &mut Account, scene: &Scene) -> Draft {
    let own = account.scoped_id.get_or_insert_with(|| pen.scoped_id());
    let (mid, text) = (pen.mid(), pen.text());
    let mut item = envelope(pen, &scene.account, own, scene.timestamp.clone());
    item.message = Some(Message {
        mid: Some(&mid),
        text: Some(&text),
        is_echo: true,
        is_self: true,
        ..Message::default()
    });
    let event_id = format!("message_{mid}_{}", scene.account);
    draft("message_echoes", event_id, pen.json(&item))
}

pub(super) fn story_mention(pen: &mut Pen, account: &mut Account, now_ms: u64) -> Draft {
    let scene = Scene::new(pen, account, now_ms);
    let url = pen.media_url();
    let is_echo = pen.chance(20);
    let person = account.person(pen);
    let mid = person.send(pen, is_echo, now_ms);
    let (from, to) = scene.direction(person, is_echo);
    let mut item = envelope(pen, from, to, scene.timestamp.clone());
    item.message = Some(Message {
        mid: Some(&mid),
        attachments: vec![linked("story_mention", &url)],
        is_echo,
        ..Message::default()
    });
    let event_id = format!("story_mention_{mid}_{from}");
    draft(field(is_echo), event_id, pen.json(&item))
}
