//! The types of events, as the lab sends them, and where they travel.

/// One of the nine event types that the service knows, or what is none of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A comment on a post, a reel or an ad.
    Comment,
    /// The account is mentioned in a comment or a caption.
    Mention,
    /// A direct message, an echo of one, an edit, or its being unsent.
    Message,
    /// The account is mentioned in somebody's story.
    StoryMention,
    /// A comment on a live video.
    LiveComment,
    /// A reaction to a message, or its being taken back.
    MessageReactions,
    /// A tap on an icebreaker or a button.
    MessagingPostbacks,
    /// A read receipt.
    MessagingSeen,
    /// The figures of a story that has expired.
    StoryInsights,
    /// Anything else: referrals, opt-ins, handovers, what Instagram thinks of next.
    Unknown,
}

/// Where in an entry an item travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// `entry[].changes[]`; `entry.time` is in seconds.
    Changes,
    /// `field` and `value` in the entry itself.
    Field,
    /// `entry[].messaging[]`; `entry.time` is in milliseconds.
    Messaging,
    /// `entry[].standby[]`: another app holds the thread.
    Standby,
    /// No list at all: the entry is the item.
    Bare,
}

impl Kind {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 10] = [
        Self::Comment,
        Self::Mention,
        Self::Message,
        Self::StoryMention,
        Self::LiveComment,
        Self::MessageReactions,
        Self::MessagingPostbacks,
        Self::MessagingSeen,
        Self::StoryInsights,
        Self::Unknown,
    ];

    /// The type's name in subjects, columns and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Comment => "comment",
            Self::Mention => "mention",
            Self::Message => "message",
            Self::StoryMention => "story_mention",
            Self::LiveComment => "live_comment",
            Self::MessageReactions => "message_reactions",
            Self::MessagingPostbacks => "messaging_postbacks",
            Self::MessagingSeen => "messaging_seen",
            Self::StoryInsights => "story_insights",
            Self::Unknown => "unknown",
        }
    }

    /// The type of that [name](Self::name), if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Its share of the items by default, in percent: mostly messages, receipts and comments.
    #[must_use]
    pub const fn weight(self) -> u32 {
        match self {
            Self::Message => 39,
            Self::MessagingSeen | Self::Comment => 20,
            Self::MessageReactions => 8,
            Self::LiveComment => 4,
            Self::MessagingPostbacks => 3,
            Self::Mention | Self::StoryMention => 2,
            Self::StoryInsights | Self::Unknown => 1,
        }
    }
}

impl Place {
    /// The list of the entry that the items are in, if they are in one.
    #[must_use]
    pub const fn list(self) -> Option<&'static str> {
        match self {
            Self::Changes => Some("changes"),
            Self::Messaging => Some("messaging"),
            Self::Standby => Some("standby"),
            Self::Field | Self::Bare => None,
        }
    }

    /// Whether an item there is a messaging item as it is, not the value of a field.
    #[must_use]
    pub const fn is_messaging(self) -> bool {
        matches!(self, Self::Messaging | Self::Standby)
    }
}
