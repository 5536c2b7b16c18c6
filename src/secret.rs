//! A text that is never printed.

use std::fmt;

use serde::Deserialize;

/// A secret text: neither `Debug` nor `Display` shows it, and it cannot be serialised.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// For a secret that is a URL: scheme, host, port and path, without user, password and query; fit for a log.
    #[must_use]
    pub fn url_without_credentials(&self) -> String {
        let Ok(mut url) = url::Url::parse(&self.0) else {
            return Self::MASK.to_owned();
        };
        url.set_query(None);
        // A password with a raw `#` or `/` in it ends the authority early, and its rest lands here.
        let torn = url.fragment().is_some() || url.path().contains('@');
        let cannot_have_user =
            url.cannot_be_a_base() || url.username().is_empty() && url.password().is_none();
        if torn
            || !cannot_have_user
                && (url.set_username("").is_err() || url.set_password(None).is_err())
        {
            return format!("{}:{}", url.scheme(), Self::MASK);
        }
        url.into()
    }

    const MASK: &str = "[secret]";
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::MASK)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::MASK)
    }
}

#[cfg(test)]
mod tests {
    use super::Secret;

    #[test]
    fn neither_debug_nor_display_shows_it() {
        let secret = Secret::new("hunter2");
        assert_eq!(
            format!("{secret} {secret:?} {:?}", Some(&secret)),
            "[secret] [secret] Some([secret])"
        );
        assert_eq!(secret.expose(), "hunter2");
    }

    #[test]
    fn a_url_is_shown_without_its_credentials() {
        let cases = [
            (
                "postgres://ig:hunter2@db.internal:5432/igstream?sslmode=require",
                "postgres://db.internal:5432/igstream",
            ),
            (
                "postgres:///igstream?host=/run/postgresql&password=hunter2",
                "postgres:///igstream",
            ),
            ("nats://hunter2@nats-1:4222", "nats://nats-1:4222"),
            (
                "sqlite://data/igstream.db?mode=rwc",
                "sqlite://data/igstream.db",
            ),
            ("sqlite::memory:", "sqlite::memory:"),
            ("postgres://ig:12#hunter2@db/igstream", "postgres:[secret]"),
            ("postgres://ig:12/hunter2@db/igstream", "postgres:[secret]"),
            ("postgres://ig:12?hunter2@db/igstream", "postgres://ig:12"),
            ("hunter2", "[secret]"),
        ];
        for (url, shown) in cases {
            assert_eq!(Secret::new(url).url_without_credentials(), shown);
        }
    }
}
