//! How large the streams may be where there is not room for `stream.max_bytes` each. Pure.

/// A stream of fewer bytes is no use: the server has no room for igstream.
pub const SMALLEST_STREAM_BYTES: i64 = 64 * 1024 * 1024;
/// Shares are whole mebibytes, so that they do not change with each byte that comes and goes.
const GRAIN_BYTES: i64 = 1024 * 1024;

/// What there is for streams, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ground {
    /// The disk of a server of the service's own, which bounds its streams by nothing else.
    Disk {
        /// What is free on it.
        free: i64,
    },
    /// A server that lets its streams reserve so much more.
    Server {
        /// What it can still reserve.
        reservable: i64,
    },
    /// It cannot be seen: the server says no when it has no more.
    Unseen,
}

/// The streams as they stand, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    /// How many are still to be made.
    pub absent: i64,
    /// How many there are.
    pub present: i64,
    /// What these hold.
    pub held: i64,
    /// By how much these may still grow.
    pub growth: i64,
    /// The limit of the smallest.
    pub smallest: Option<i64>,
}

/// The most that a stream may be given, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allotment {
    /// One that is made.
    pub new: i64,
    /// One that is there, unless it has more already.
    pub grown: i64,
}

impl Allotment {
    /// No bound but `stream.max_bytes`, and what the server says.
    pub const UNBOUND: Self = Self {
        new: i64::MAX,
        grown: i64::MAX,
    };
}

/// How there is room for streams of `stream.max_bytes`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Room {
    /// There is.
    Enough,
    /// There is less, and they make do with it.
    Less(String),
    /// There is none.
    None(String),
}

impl Ground {
    /// An equal share for every stream: those that are made first leave as much to the others. Of a disk a
    /// quarter is left free.
    #[must_use]
    pub fn allot(self, standing: &Standing) -> Allotment {
        match self {
            Self::Disk { free } => {
                let bytes = standing.held.saturating_add(free / 4 * 3);
                let each = share(bytes, standing.absent + standing.present);
                Allotment {
                    new: each,
                    grown: each,
                }
            }
            Self::Server { reservable } => Allotment {
                new: share(reservable, standing.absent),
                ..Allotment::UNBOUND
            },
            Self::Unseen => Allotment::UNBOUND,
        }
    }

    /// What there is to say of the room for streams of `max_bytes`.
    #[must_use]
    pub fn judge(self, standing: &Standing, max_bytes: i64) -> Room {
        let new = self.allot(standing).new;
        let mend = "free the server's disk or raise its limits, or lower stream.max_bytes";
        if standing.absent > 0 && new < SMALLEST_STREAM_BYTES.min(max_bytes) {
            return Room::None(format!(
                "there is room for {new} bytes a stream, and {SMALLEST_STREAM_BYTES} are needed at least: {mend}"
            ));
        }
        if let Self::Disk { free } = self
            && standing.growth > free
        {
            return Room::Less(format!(
                "the streams may still grow by {} bytes, and the disk has {free}: it is full before they are; {mend}",
                standing.growth
            ));
        }
        if standing.absent > 0 && new < max_bytes {
            return Room::Less(format!(
                "there is room for {new} bytes a stream, and stream.max_bytes is {max_bytes}: the streams stay smaller; {mend}"
            ));
        }
        match standing.smallest {
            Some(smallest) if smallest < max_bytes => Room::Less(format!(
                "the smallest stream has {smallest} bytes, and stream.max_bytes is {max_bytes}: there was no room for more; {mend}"
            )),
            _ => Room::Enough,
        }
    }
}

fn share(bytes: i64, streams: i64) -> i64 {
    match bytes.checked_div(streams) {
        Some(each) => (each / GRAIN_BYTES * GRAIN_BYTES).max(0),
        None => i64::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: i64 = 1 << 30;

    #[test]
    fn every_stream_gets_the_same_of_a_disk() {
        let free = Ground::Disk { free: 40 * GIB };
        let first = Standing {
            absent: 5,
            ..Standing::default()
        };
        assert_eq!(free.allot(&first).new, 6 * GIB);
        // As they fill, what they hold is theirs.
        let filled = Standing {
            present: 5,
            held: 20 * GIB,
            ..Standing::default()
        };
        let left = Ground::Disk { free: 20 * GIB };
        assert_eq!(left.allot(&filled).grown, 7 * GIB);
    }

    #[test]
    fn of_a_server_only_those_that_are_made_take() {
        let ground = Ground::Server {
            reservable: 10 * GIB,
        };
        let standing = Standing {
            absent: 2,
            present: 3,
            ..Standing::default()
        };
        let allotment = ground.allot(&standing);
        assert_eq!((allotment.new, allotment.grown), (5 * GIB, i64::MAX));
        assert_eq!(Ground::Unseen.allot(&standing), Allotment::UNBOUND);
        let full = Ground::Server { reservable: -GIB };
        assert_eq!(full.allot(&standing).new, 0);
    }

    #[test]
    fn what_is_short_is_said() {
        let absent = |absent| Standing {
            absent,
            ..Standing::default()
        };
        let present = |growth, smallest| Standing {
            present: 5,
            growth,
            smallest: Some(smallest),
            ..Standing::default()
        };
        let disk = |free| Ground::Disk { free };
        let server = |reservable| Ground::Server { reservable };
        for (ground, standing, told) in [
            (disk(100 * GIB), absent(5), None),
            (disk(20 * GIB), absent(5), Some("stay smaller")),
            (disk(GIB / 8), absent(5), Some("are needed at least")),
            (disk(60 * GIB), present(50 * GIB, 10 * GIB), None),
            (disk(40 * GIB), present(50 * GIB, 10 * GIB), Some("grow by")),
            (server(60 * GIB), absent(5), None),
            (server(0), present(0, 10 * GIB), None),
            (server(0), present(0, GIB), Some("the smallest stream has")),
            (server(GIB / 8), absent(5), Some("are needed at least")),
            (Ground::Unseen, absent(5), None),
        ] {
            match (ground.judge(&standing, 10 * GIB), told) {
                (Room::Enough, None) => {}
                (Room::Less(text) | Room::None(text), Some(told)) if text.contains(told) => {
                    assert!(text.contains("lower stream.max_bytes"), "{text}");
                }
                (room, _) => panic!("{ground:?}, {standing:?}: {room:?}"),
            }
        }
    }
}
