//! A secret that a row holds.

use std::fmt;

use sea_orm::DeriveValueType;

/// An access token as it lies in the database, encrypted. It can be read by whoever asks for it by
/// name, and shows itself nowhere else: not in `Debug`, and there is no `Serialize`.
#[derive(Clone, PartialEq, Eq, DeriveValueType)]
pub struct EncryptedToken(pub String);

impl fmt::Debug for EncryptedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EncryptedToken(…)")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use sea_orm::{ActiveValue::Set, prelude::DateTimeUtc, prelude::Uuid};

    use super::EncryptedToken;
    use crate::client_account::{ActiveModel, Model};

    #[test]
    fn a_token_shows_itself_nowhere() {
        let token = Some(EncryptedToken("sealed".to_owned()));
        let account = Model {
            id: Uuid::nil(),
            instagram_business_account_id: "1".to_owned(),
            app_scoped_id: None,
            username: None,
            access_token: token.clone(),
            active: true,
            created_at: DateTimeUtc::UNIX_EPOCH,
            updated_at: DateTimeUtc::UNIX_EPOCH,
        };
        let change = ActiveModel {
            access_token: Set(token),
            ..Default::default()
        };
        for shown in [
            format!("{account:?}"),
            format!("{change:?}"),
            serde_json::to_string(&account).unwrap(),
        ] {
            assert!(!shown.contains("sealed"), "{shown}");
        }
    }
}
