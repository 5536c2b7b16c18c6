//! Deliveries that must not be accepted, must be dropped, or have an item that must end dead.

use bytes::Bytes;

use super::{
    delivery::{Delivery, Envelope, Telling, Told, body, expecting, told},
    expectation::Expectation,
    malformed::malformed,
    signer::Signing,
    traffic::{Cast, Traffic},
};

impl Traffic {
    /// The kinds of invalid deliveries, in rotation.
    pub(super) fn invalid(&mut self) -> Delivery {
        let turn = self.invalid_sent;
        self.invalid_sent += 1;
        match turn % 5 {
            0 => self.wrongly_signed(turn / 5),
            1 => self.not_json(turn / 5),
            2 => self.without_entry(turn / 5),
            3 => self.of_another_product(turn / 5),
            _ => self.with_a_malformed_item(),
        }
    }

    fn wrongly_signed(&mut self, round: u64) -> Delivery {
        let items = self.items(Cast::Untold);
        let events = told(&expecting(&items, Expectation::Refused));
        Delivery {
            signing: [Signing::Foreign, Signing::Absent, Signing::Cut][index(round, 3)],
            status: 401,
            ..self.accepted(body("instagram", &items, Envelope::Usual), events)
        }
    }

    fn not_json(&mut self, round: u64) -> Delivery {
        let mut whole = body("instagram", &self.items(Cast::Untold), Envelope::Usual);
        let body = match round % 3 {
            0 => whole.split_to(whole.len() / 2),
            1 => Bytes::from_static(b"<html><body>502 Bad Gateway</body></html>"),
            _ => Bytes::new(),
        };
        self.refused(body)
    }

    fn without_entry(&mut self, round: u64) -> Delivery {
        let bodies = [r#"{"object":"instagram"}"#, "[]", r#""instagram""#];
        let body = bodies[index(round, bodies.len())];
        self.refused(Bytes::from_static(body.as_bytes()))
    }

    fn refused(&self, body: Bytes) -> Delivery {
        let nothing = Told {
            event_type: None,
            ig_account_id: None,
            event_id: None,
            expectation: Expectation::Refused,
        };
        Delivery {
            status: 400,
            ..self.accepted(body, vec![nothing])
        }
    }

    fn of_another_product(&mut self, round: u64) -> Delivery {
        let objects = ["page", "user", "whatsapp_business_account"];
        let items = self.items(Cast::Untold);
        let events = told(&expecting(&items, Expectation::Ignored));
        let object = objects[index(round, objects.len())];
        self.accepted(body(object, &items, Envelope::Usual), events)
    }

    fn with_a_malformed_item(&mut self) -> Delivery {
        let mut tellings = self.items(Cast::Told);
        let (kind, now_ms) = (self.kind(), self.now_ms());
        let account = self.account_index(None);
        let bad = malformed(&mut self.pen, &mut self.cast[account], kind, now_ms);
        let at = self.pen.below(tellings.len() + 1);
        tellings.insert(at, Telling::new(bad, Expectation::Dead));
        let events = told(&tellings);
        self.accepted(body("instagram", &tellings, Envelope::Usual), events)
    }
}

fn index(round: u64, count: usize) -> usize {
    usize::try_from(round).unwrap_or(0) % count
}
