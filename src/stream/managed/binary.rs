//! Which nats-server is run.

use std::{
    env,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{process::Command, time::timeout};

use super::ManagedError;

const NAME: &str = "nats-server";

/// Where `make tools` puts it, from the directory igstream is started in.
const FALLBACK: &str = ".tools/bin/nats-server";

/// Older ones can lose what they acknowledged under `sync_interval: always`: nats-server pull requests 8456 and
/// 8475, in 2.14.6 and 2.15.0.
const OLDEST: Version = Version(2, 14, 6);

const SAYS_ITS_VERSION_WITHIN: Duration = Duration::from_secs(10);

/// A nats-server that will do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binary {
    /// The file.
    pub path: PathBuf,
    /// As it says, such as 2.15.1.
    pub version: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Version(u32, u32, u32);

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// The binary named by the configuration, or the first that is new enough, on `PATH`, then where `make tools`
/// puts it. A distribution's old one on `PATH` does not stand in the way of a good one.
pub(super) async fn find(configured: Option<&Path>) -> Result<Binary, ManagedError> {
    if let Some(path) = configured {
        return check(path.to_owned()).await;
    }
    let fallback = PathBuf::from(FALLBACK);
    let mut first_error = None;
    for candidate in on_path()
        .chain([fallback.clone()])
        .filter(|path| is_executable(path))
    {
        match check(candidate).await {
            Ok(binary) => return Ok(binary),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    Err(first_error.unwrap_or(ManagedError::NoBinary { fallback }))
}

fn on_path() -> impl Iterator<Item = PathBuf> {
    let directories: Vec<_> = env::var_os("PATH")
        .map(|path| env::split_paths(&path).collect())
        .unwrap_or_default();
    directories
        .into_iter()
        .map(|directory: PathBuf| directory.join(NAME))
}

fn is_executable(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

async fn check(path: PathBuf) -> Result<Binary, ManagedError> {
    let version = match ask_version(&path).await {
        Ok(version) => version,
        Err(reason) => return Err(ManagedError::UnusableBinary { path, reason }),
    };
    if version < OLDEST {
        return Err(ManagedError::OldBinary {
            path,
            found: version.to_string(),
            needed: OLDEST.to_string(),
        });
    }
    Ok(Binary {
        path,
        version: version.to_string(),
    })
}

async fn ask_version(path: &Path) -> Result<Version, String> {
    let asked = Command::new(path)
        .arg("--version")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = timeout(SAYS_ITS_VERSION_WITHIN, asked)
        .await
        .map_err(|_| "it does not answer --version".to_owned())?
        .map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stdout);
    parse_version(&said).ok_or_else(|| {
        format!(
            "--version said {:?}",
            said.trim().chars().take(80).collect::<String>()
        )
    })
}

/// From `nats-server: v2.15.1`, also with a suffix as in `v2.15.0-RC.1`.
fn parse_version(said: &str) -> Option<Version> {
    let version = said.trim().strip_prefix("nats-server: v")?;
    let mut numbers = version.split(['.', '-', '+', ' ']).map(str::parse);
    let mut next = || numbers.next()?.ok();
    Some(Version(next()?, next()?, next()?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn versions_are_read_and_compared_as_numbers() {
        assert_eq!(
            parse_version("nats-server: v2.15.1\n"),
            Some(Version(2, 15, 1))
        );
        assert_eq!(
            parse_version("nats-server: v2.15.0-RC.1"),
            Some(Version(2, 15, 0))
        );
        assert_eq!(parse_version("GNU coreutils 9.1"), None);
        assert!(parse_version("nats-server: v2.9.25").unwrap() < OLDEST);
        assert!(parse_version("nats-server: v2.100.0").unwrap() > OLDEST);
    }

    #[tokio::test]
    async fn a_program_that_is_no_nats_server_is_refused_by_name() {
        let error = find(Some(Path::new("/bin/echo")))
            .await
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("/bin/echo") && error.contains("nats.server_binary"),
            "{error}"
        );
    }
}
