//! A `PostgreSQL` of a test's own, which can be killed.

use std::{
    env, fs,
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{self, Stdio},
};

use rustix::process::{Signal, geteuid};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::{
    eventually::{eventually, eventually_true},
    postgres::connect,
    service::signal_process,
};

const NO_PROGRAMS: &str = "no PostgreSQL server is installed: run `make test` or \
    `scripts/with-postgres`, which find one or fetch it";

/// A server in a directory of its own, reached by a Unix socket only. It goes with this value.
pub struct PostgresServer {
    programs: PathBuf,
    user: Option<User>,
    home: TempDir,
    process: Option<Child>,
}

/// Whom it runs as where this process is root, which `PostgreSQL` refuses to be.
#[derive(Clone, Copy)]
pub struct User {
    pub id: u32,
    pub group: u32,
}

impl PostgresServer {
    pub async fn start() -> Self {
        let home = TempDir::with_prefix_in("igstream_test_", "/tmp").expect("a directory");
        let mut server = Self {
            programs: programs(),
            user: geteuid().is_root().then(another_user),
            home,
            process: None,
        };
        server.make();
        server.start_again().await;
        server
    }

    /// Whom its files belong to, if not to this process's user.
    pub fn user(&self) -> Option<User> {
        self.user
    }

    fn make(&self) {
        if let Some(user) = self.user {
            chown(self.home.path(), Some(user.id), Some(user.group)).expect("it is given away");
        }
        let made = self
            .command("initdb")
            .args(["--username=igstream", "--auth=trust", "--encoding=UTF8"])
            .args(["--locale=C.UTF-8", "--no-sync", "--pgdata"])
            .arg(self.data())
            .stdout(Stdio::null())
            .output();
        let made = made.expect("initdb runs");
        let said = String::from_utf8_lossy(&made.stderr);
        assert!(made.status.success(), "initdb: {said}");
    }

    /// With the same data, as after a crash.
    pub async fn start_again(&mut self) {
        let log = fs::File::create(self.home.path().join("log")).expect("a log");
        let mut command = self.command("postgres");
        command
            .arg("-D")
            .arg(self.data())
            .args(["-c", "listen_addresses=", "-c", "max_connections=60"])
            .arg("-k")
            .arg(self.home.path())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log);
        let mut command = Command::from(command);
        self.process = Some(command.kill_on_drop(true).spawn().expect("postgres starts"));
        let url = self.url();
        eventually("PostgreSQL answers", async || {
            let db = connect(&url).await.map_err(|error| error.to_string())?;
            db.close().await.map_err(|error| error.to_string())
        })
        .await;
    }

    /// As a machine does that loses its power: all its processes end at once.
    pub async fn kill(&mut self) {
        let Some(mut process) = self.process.take() else {
            return;
        };
        let postmaster = process.id().expect("it runs");
        let children = children_of(postmaster);
        process.kill().await.expect("postgres is killed");
        for child in &children {
            signal_process(*child, Signal::KILL);
        }
        // The next one does not start while one of them holds the shared memory.
        eventually_true("its processes are gone", async || {
            !children.iter().any(|child| lives(*child))
        })
        .await;
    }

    /// As an operator does who is in a hurry: sessions are ended, what is committed is kept.
    pub async fn stop(&mut self) {
        let mut process = self.process.take().expect("it runs");
        signal_process(process.id().expect("it runs"), Signal::INT);
        process.wait().await.expect("it ends");
    }

    /// The administrator's URL.
    pub fn url(&self) -> String {
        format!(
            "postgres://igstream@localhost/postgres?host={}",
            self.home.path().display()
        )
    }

    fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    fn command(&self, program: &str) -> process::Command {
        let mut command = process::Command::new(self.programs.join(program));
        command
            .current_dir("/")
            .stdin(Stdio::null())
            .process_group(0);
        if let Some(user) = self.user {
            command.uid(user.id).gid(user.group);
        }
        command
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        let postmaster = self.process.as_ref().and_then(Child::id);
        for process in postmaster.into_iter().flat_map(|postmaster| {
            let children = children_of(postmaster);
            std::iter::once(postmaster).chain(children)
        }) {
            signal_process(process, Signal::KILL);
        }
    }
}

/// Where the server's programs are: as `scripts/with-postgres` says, or the newest that is installed.
fn programs() -> PathBuf {
    if let Some(told) = env::var_os("IGSTREAM_TEST_POSTGRES_PROGRAMS") {
        return told.into();
    }
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let newest = versions.flatten().max_by_key(|version| {
        let name = version.file_name();
        name.to_string_lossy().parse::<u32>().unwrap_or_default()
    });
    let on_path = || {
        let path = env::var_os("PATH").unwrap_or_default();
        env::split_paths(&path).find(|directory| directory.join("initdb").is_file())
    };
    newest
        .map(|version| version.path().join("bin"))
        .or_else(on_path)
        .expect(NO_PROGRAMS)
}

fn another_user() -> User {
    let users = fs::read_to_string("/etc/passwd").expect("/etc/passwd");
    let find = |name: &str| {
        let line = users
            .lines()
            .find(|line| line.split(':').next() == Some(name))?;
        let mut ids = line.split(':').skip(2).map_while(|id| id.parse().ok());
        Some(User {
            id: ids.next()?,
            group: ids.next()?,
        })
    };
    find("postgres")
        .or_else(|| find("nobody"))
        .expect("a user `postgres` or `nobody` to run PostgreSQL as")
}

fn children_of(parent: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").expect("/proc").flatten();
    processes
        .filter_map(|entry| {
            let process = entry.file_name().to_str()?.parse().ok()?;
            (parent_of(&entry.path())? == parent).then_some(process)
        })
        .collect()
}

/// `/proc/PID/stat`: after the name, which is in parentheses, come the state and the parent.
fn parent_of(process: &Path) -> Option<u32> {
    let stat = fs::read_to_string(process.join("stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(1)?.parse().ok()
}

/// A process that has ended stays in the list until its parent has asked for it.
fn lives(process: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}
