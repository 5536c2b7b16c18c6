//! The values that labels can have: closed lists.

/// A closed list of label values.
macro_rules! labels {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $name {
            /// All of them, in the order of their declaration.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// As the label says it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }
    };
}

labels! {
    /// How a delivery ended.
    Outcome {
        /// Durable in the journal: 200.
        Accepted = "accepted",
        /// Signature absent, malformed or wrong: 401.
        InvalidSignature = "invalid_signature",
        /// Not the grammar of a delivery: 400.
        Malformed = "malformed",
        /// Over the body limit: 413.
        TooLarge = "too_large",
        /// Not durable in time: 503.
        Unavailable = "unavailable",
        /// Past the load limit: 503.
        Overloaded = "overloaded",
        /// Of another `object` than `instagram`: 200, nothing published.
        Ignored = "ignored",
    }
}

labels! {
    /// Why an attempt at an event failed. An outage of a server is no failure of an event and has no label here.
    ErrorType {
        /// The item lacks what its type needs.
        Malformed = "malformed",
        /// The database refuses its rows.
        Rejected = "rejected",
        /// The handler panicked over it.
        Panic = "panic",
        /// Anything else.
        Internal = "internal",
    }
}

labels! {
    /// The kinds of rows that retention deletes.
    Retained {
        /// Processed events.
        Processed = "processed",
        /// Duplicates.
        Duplicate = "duplicate",
        /// Dead letters.
        DeadLetter = "dead_letter",
    }
}
