//! An account is connected: whose an access token is, by Meta's word.
//!
//! A token of another account would subscribe that one, and nobody would notice until its events come as those of an
//! unknown account. And only Meta can tell the id by which its callbacks name the account.

use crate::graph::{GraphClient, GraphError, Kind};
use crate::secret::Secret;

/// What Meta says of the owner of a token.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Owner {
    /// The account's id for the app.
    pub app_scoped_id: Option<String>,
    /// What it calls itself.
    pub username: Option<String>,
}

/// Why a token is not taken.
#[derive(Debug, thiserror::Error)]
pub enum NotTaken {
    /// It is the token of another account.
    #[error(
        "the access token is not that of account {wanted}: Meta says that it is that of {owner}; give the token of {wanted}, or add {owner}"
    )]
    Anothers {
        /// Whose it should be.
        wanted: String,
        /// Whose it is.
        owner: String,
    },
    /// Meta says that it is no good, or cannot be asked.
    #[error(transparent)]
    Graph(#[from] GraphError),
}

impl NotTaken {
    /// Whether the token is to blame, and not the way to Meta.
    #[must_use]
    pub fn is_of_the_token(&self) -> bool {
        match self {
            Self::Anothers { .. } => true,
            Self::Graph(error) => error.kind() == Some(Kind::Token),
        }
    }
}

/// Asks Meta whose the token is. Where Meta does not tell (as of a page's token, with Facebook Login) nothing is known
/// of the owner, and the token is taken as it is.
pub async fn owner_of(
    graph: &GraphClient,
    ig_account_id: &str,
    token: &Secret,
) -> Result<Owner, NotTaken> {
    match graph.profile(token).await {
        Ok(profile) if profile.user_id == ig_account_id => Ok(Owner {
            app_scoped_id: Some(profile.app_scoped_id),
            username: profile.username,
        }),
        Ok(profile) => Err(NotTaken::Anothers {
            wanted: ig_account_id.to_owned(),
            owner: profile.user_id,
        }),
        Err(error) if matches!(error.kind(), Some(Kind::Request | Kind::Permission)) => {
            tracing::warn!(%error, account = ig_account_id, "Meta does not tell whose an access token is");
            Ok(Owner::default())
        }
        Err(error) => Err(error.into()),
    }
}
