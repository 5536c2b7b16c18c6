//! Why the streams are not as they must be.

/// Why the topology is not as it must be.
#[derive(Debug, thiserror::Error)]
pub enum TopologyError {
    /// The built-in definitions do not parse.
    #[error("nats/streams.toml: {0}")]
    Definitions(#[from] toml::de::Error),
    /// The definitions have nothing of that name.
    #[error("nats/streams.toml defines no {0}")]
    Undefined(String),
    /// A stream differs in what cannot be changed.
    #[error(
        "the stream {stream} has {field} {found}, and igstream needs {wanted}: it cannot be changed; remove or rename the stream, or connect to another server"
    )]
    Drift {
        /// The stream.
        stream: String,
        /// What differs.
        field: &'static str,
        /// As it is.
        found: String,
        /// As it must be.
        wanted: String,
    },
    /// The server has no room for the stream.
    #[error(
        "the server has no room for the stream {stream}, not even {bytes} bytes: free its disk or raise its limits ({reason})"
    )]
    NoRoom {
        /// The stream.
        stream: String,
        /// What was asked for last.
        bytes: i64,
        /// What the server says.
        reason: String,
    },
    /// The server refused.
    #[error("the NATS server refused {what}: {reason}")]
    Refused {
        /// What was asked for.
        what: String,
        /// What it says.
        reason: String,
    },
}
