//! The nine types of events, as the lab sends them.

/// One of the nine event types that the service knows.
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
}

/// Where in an entry an item travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// `entry[].changes[]`; `entry.time` is in seconds.
    Changes,
    /// `entry[].messaging[]`; `entry.time` is in milliseconds.
    Messaging,
}

impl Kind {
    /// All nine, in the order of the documentation.
    pub const ALL: [Self; 9] = [
        Self::Comment,
        Self::Mention,
        Self::Message,
        Self::StoryMention,
        Self::LiveComment,
        Self::MessageReactions,
        Self::MessagingPostbacks,
        Self::MessagingSeen,
        Self::StoryInsights,
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
            Self::Message => 40,
            Self::MessagingSeen | Self::Comment => 20,
            Self::MessageReactions => 8,
            Self::LiveComment => 4,
            Self::MessagingPostbacks => 3,
            Self::Mention | Self::StoryMention => 2,
            Self::StoryInsights => 1,
        }
    }

    /// Where Instagram puts items of the type.
    #[must_use]
    pub const fn place(self) -> Place {
        match self {
            Self::Comment | Self::Mention | Self::LiveComment | Self::StoryInsights => {
                Place::Changes
            }
            Self::Message
            | Self::StoryMention
            | Self::MessageReactions
            | Self::MessagingPostbacks
            | Self::MessagingSeen => Place::Messaging,
        }
    }
}

impl Place {
    /// The list of the entry that the items are in.
    #[must_use]
    pub const fn list(self) -> &'static str {
        match self {
            Self::Changes => "changes",
            Self::Messaging => "messaging",
        }
    }

    /// `entry.time` for a moment given in milliseconds since 1970.
    #[must_use]
    pub const fn entry_time(self, now_ms: u64) -> u64 {
        match self {
            Self::Changes => now_ms / 1_000,
            Self::Messaging => now_ms,
        }
    }
}
