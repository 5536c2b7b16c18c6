//! Accounts, as commands are told of them.

use std::process::ExitCode;

use crate::instagram::identity::is_account_id;

/// An account's id as Instagram sends it.
pub(super) fn account_id(given: &str) -> Result<String, String> {
    if is_account_id(given) {
        Ok(given.to_owned())
    } else {
        Err(
            "it is the number that Instagram sends as `entry.id`, such as 17841405822304914"
                .to_owned(),
        )
    }
}

/// There is neither such an account nor anything of it.
pub(super) fn unknown(ig_account_id: &str) -> ExitCode {
    eprintln!(
        "igstream: no account {ig_account_id}: `igstream accounts list` shows those there are"
    );
    ExitCode::FAILURE
}
