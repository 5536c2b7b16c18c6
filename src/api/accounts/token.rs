//! An access token that is given: whose it is, and how it is stored.

use std::borrow::Cow;

use entity::{EncryptedToken, client_account};
use serde::de::{Deserialize, Deserializer, Error};
use utoipa::openapi::schema::{ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{KnownFormat, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};
use uuid::Uuid;

use crate::api::Api;
use crate::api::problem::{Kind, Place, Problem};
use crate::connect::{NotTaken, Owner, owner_of};
use crate::graph::GraphError;
use crate::secret::Secret;
use crate::vault::{LONGEST_TOKEN, VaultError, is_token};

/// A token as it is given.
#[derive(Debug, Clone)]
pub(super) struct Token(Secret);

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(source)?;
        if is_token(&text) {
            return Ok(Self(Secret::new(text)));
        }
        Err(D::Error::custom(format!(
            "it must have 1 to {LONGEST_TOKEN} printable ASCII characters, none of them a space"
        )))
    }
}

impl PartialSchema for Token {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Password)))
            .write_only(true)
            .min_length(Some(1))
            .max_length(Some(LONGEST_TOKEN))
            .pattern(Some("^[!-~]*$"))
            .into()
    }
}

impl ToSchema for Token {}

/// A token that Meta does not say to be another's, encrypted for the account.
pub(super) struct Taken {
    pub(super) sealed: EncryptedToken,
    pub(super) owner: Owner,
}

pub(super) async fn take(
    api: &Api,
    account: Uuid,
    ig_account_id: &str,
    Token(token): &Token,
) -> Result<Taken, Problem> {
    let sealed = api.vault().seal(account, token)?;
    let owner = owner_of(api.graph(), ig_account_id, token)
        .await
        .map_err(|error| match error {
            NotTaken::Graph(error) if !NotTaken::Graph(error.clone()).is_of_the_token() => {
                error.into()
            }
            of_the_token => Problem::field(Place::Body, "access_token", of_the_token.to_string()),
        })?;
    Ok(Taken {
        sealed: EncryptedToken(sealed),
        owner,
    })
}

/// The stored token of an account; `None` where there is none.
pub(in crate::api) fn open(
    api: &Api,
    account: &client_account::Model,
) -> Result<Option<Secret>, Problem> {
    let stored = account.access_token.as_ref();
    let opened = stored.map(|token| api.vault().open(account.id, &token.0));
    Ok(opened.transpose()?)
}

impl From<VaultError> for Problem {
    fn from(error: VaultError) -> Self {
        match error {
            VaultError::NoKey => Self::new(Kind::Unavailable, error.to_string()),
            VaultError::NoToken => Self::field(Place::Body, "access_token", error.to_string()),
            VaultError::UnknownKey { .. } | VaultError::Broken => {
                Self::new(Kind::Conflict, error.to_string())
            }
        }
    }
}

/// In the words of whoever asked.
impl From<GraphError> for Problem {
    fn from(error: GraphError) -> Self {
        let problem = Self::new(Kind::BadGateway, error.to_string());
        match error.retry_after() {
            Some(wait) => problem.retry_after(wait.as_secs()),
            None => problem,
        }
    }
}
