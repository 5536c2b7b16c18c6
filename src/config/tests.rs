#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::layers::DEFAULTS;
use super::{Config, ConfigError, Durability, LogFormat, NatsMode, keys};

const NO_ENVIRONMENT: [(&str, &str); 0] = [];

/// What is wrong for a key: as TOML in a file, and as a variable where not every text is right.
const WRONG: &[(&str, &str, Option<&str>)] = &[
    ("server.bind", "\"localhost\"", Some("8080")),
    ("server.body_limit_bytes", "0", Some("4 MiB")),
    ("server.accept_timeout", "4", Some("4")),
    ("server.shutdown_timeout", "\"soon\"", Some("0s")),
    ("server.max_waiting_bytes", "-1", Some("")),
    ("server.max_waiting_deliveries", "0", Some("many")),
    ("metrics.bind", "9464", Some("127.0.0.1")),
    ("instagram.app_secrets", "[\"\"]", Some("one,,two")),
    (
        "instagram.app_secrets_file",
        "\"/nowhere/secrets\"",
        Some("/nowhere/secrets"),
    ),
    ("instagram.verify_token", "123", None),
    ("instagram.verify_token_file", "5", Some("/nowhere/token")),
    ("instagram.graph_url", "\"\"", Some("graph.instagram.com")),
    ("instagram.graph_version", "25.0", Some("25")),
    ("nats.mode", "1", Some("embedded")),
    ("nats.url", "[\"localhost\"]", Some("http://localhost:4222")),
    ("nats.url_file", "[]", Some("/nowhere/url")),
    ("nats.credentials_file", "true", Some("/nowhere/creds")),
    ("nats.tls_ca_file", "\"/nowhere/ca\"", Some("/nowhere/ca")),
    (
        "nats.tls_cert_file",
        "\"/nowhere/cert\"",
        Some("/nowhere/cert"),
    ),
    (
        "nats.tls_key_file",
        "\"/nowhere/key\"",
        Some("/nowhere/key"),
    ),
    ("nats.server_binary", "7", None),
    ("nats.data_dir", "\"\"", Some("")),
    ("nats.listen", "4222", Some("localhost:4222")),
    ("nats.durability", "2", Some("disk")),
    ("nats.monitor_url", "8222", Some("localhost:8222")),
    (
        "database.url",
        "\"mysql://localhost/igstream\"",
        Some("data/igstream.db"),
    ),
    ("database.url_file", "1", Some("/nowhere/url")),
    ("database.migrate_on_start", "\"yes\"", Some("yes")),
    ("database.max_connections", "0", Some("1001")),
    ("database.acquire_timeout", "\"-1s\"", Some("5")),
    ("auth.jwt_secret", "[]", None),
    (
        "auth.jwt_secret_file",
        "\"/nowhere/jwt\"",
        Some("/nowhere/jwt"),
    ),
    (
        "auth.jwt_public_key_file",
        "\"/nowhere/pem\"",
        Some("/nowhere/pem"),
    ),
    ("auth.jwks_url", "\"ftp://keys\"", Some("keys")),
    ("accounts.auto_register", "1", Some("1")),
    ("handlers.max_attempts", "0", Some("0")),
    ("handlers.backoff_seconds", "[]", Some("2,soon")),
    ("handlers.batch_size", "1001", Some("0")),
    ("stream.replicas", "6", Some("0")),
    ("stream.keep_days", "0", Some("week")),
    ("stream.max_bytes", "1.5", Some("10 GiB")),
    ("stream.duplicate_window_seconds", "0", Some("-1")),
    ("stream.warn_percent", "101", Some("80%")),
    ("privacy.keep_unsent", "\"false\"", Some("no")),
    ("retention.processed_days", "-1", Some("ever")),
    ("retention.duplicates_days", "36501", Some("0.5")),
    ("retention.dead_letters_days", "\"30\"", Some("")),
    ("retention.archive_dir", "0", None),
    ("log.format", "\"xml\"", Some("XML")),
    ("log.level", "\"inf\"", Some("info,igstream=loud")),
];

struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

fn from_environment(variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    Config::load_with(None, false, variables.iter().copied())
}

fn from_file(text: &str) -> Result<Config, ConfigError> {
    let files = Files::new();
    Config::load_with(
        Some(&files.write("igstream.toml", text)),
        false,
        NO_ENVIRONMENT,
    )
}

/// The keys of `default.toml` in its order, and of each whether a comment stands above it.
fn keys_of_defaults() -> Vec<(String, bool)> {
    let (mut section, mut commented, mut found) = (String::new(), false, Vec::new());
    for line in DEFAULTS.lines() {
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            name.clone_into(&mut section);
        } else if let Some((name, _)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) {
            found.push((format!("{section}.{name}"), commented));
        }
        commented = line.starts_with("# ");
    }
    found
}

fn assert_refused(outcome: Result<Config, ConfigError>, key: &str, origin: &str) {
    let error = outcome.expect_err(&format!("{key} from {origin} should be refused"));
    let keys: Vec<&str> = error.problems().iter().map(super::Problem::key).collect();
    // A certificate without a key is told as well.
    assert!(keys.contains(&key), "{key}: {error}");
    assert!(keys.len() == 1 || key.contains("tls"), "{key}: {error}");
    let text = error.to_string();
    assert!(text.contains(key), "{text}");
    let names_origin = text.contains(origin) || text.contains("cannot read the file /nowhere/");
    assert!(names_origin, "{key}: {text} should name {origin}");
}

#[test]
fn the_defaults_need_no_file_and_no_environment() {
    let config = from_environment(&[]).unwrap();
    assert_eq!(config.server.bind.to_string(), "127.0.0.1:8080");
    assert_eq!(config.server.body_limit_bytes, 4_194_304);
    assert_eq!(config.server.accept_timeout, Duration::from_secs(4));
    assert_eq!(config.metrics.bind.to_string(), "127.0.0.1:9464");
    assert_eq!(config.nats.mode, NatsMode::Managed);
    assert_eq!(config.nats.durability(), Durability::Fsync);
    assert_eq!(config.nats.data_dir, Path::new("data/nats"));
    assert!(config.nats.server_binary.is_none());
    assert_eq!(
        config.database.url.expose(),
        "sqlite://data/igstream.db?mode=rwc"
    );
    assert_eq!(
        config.handlers.backoff,
        [Duration::from_secs(2), Duration::from_secs(4)]
    );
    assert_eq!(config.stream.max_bytes, 10 * 1024 * 1024 * 1024);
    assert_eq!(config.retention.processed_days, 90);
    assert!(config.retention.archive_dir.is_none());
    assert_eq!(config.log.format, LogFormat::Auto);
    assert!(!config.accounts.auto_register);
    assert!(config.generated.is_none());
}

#[test]
fn every_key_has_a_default_a_comment_a_rule_and_a_wrong_value() {
    let defaults = keys_of_defaults();
    let names: Vec<&str> = defaults.iter().map(|(name, _)| name.as_str()).collect();
    let ruled: Vec<&str> = keys::KEYS.iter().map(|key| key.name).collect();
    assert_eq!(names, ruled, "default.toml and KEYS");
    let tested: Vec<&str> = WRONG.iter().map(|(name, ..)| *name).collect();
    assert_eq!(
        names, tested,
        "default.toml and the wrong values of the tests"
    );
    let bare: Vec<_> = defaults
        .iter()
        .filter(|(_, commented)| !commented)
        .collect();
    assert!(
        bare.is_empty(),
        "keys of default.toml without a comment above them: {bare:?}"
    );
}

#[test]
fn the_documentation_lists_every_key_with_its_default() {
    let text = include_str!("../../docs/configuration.md");
    let documented: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(key, _)| key)
        .collect();
    let known: BTreeSet<&str> = keys::KEYS.iter().map(|key| key.name).collect();
    assert_eq!(documented, known);
    let defaults = DEFAULTS.parse::<toml::Table>().unwrap();
    for key in keys::KEYS {
        let (section, name) = key.name.split_once('.').unwrap();
        let default = match defaults[section][name].to_string() {
            empty if empty == "\"\"" || empty == "[]" => String::new(),
            value => format!("`{value}`"),
        };
        let row = text
            .lines()
            .find(|line| line.starts_with(&format!("| `{}` ", key.name)))
            .unwrap();
        assert!(
            row.contains(&format!("| {default} |").replace("|  |", "| |")),
            "{row}\nshould have the default {default}"
        );
    }
}

#[test]
fn a_wrong_value_in_a_file_is_refused() {
    for (key, wrong, _) in WRONG {
        let (section, name) = key.split_once('.').unwrap();
        assert_refused(
            from_file(&format!("[{section}]\n{name} = {wrong}\n")),
            key,
            "igstream.toml",
        );
    }
}

#[test]
fn a_wrong_value_in_the_environment_is_refused() {
    for (key, _, wrong) in WRONG {
        let variable = keys::variable(key);
        if let Some(wrong) = wrong {
            assert_refused(from_environment(&[(&variable, wrong)]), key, &variable);
        }
    }
}

#[test]
fn an_error_names_key_value_origin_and_what_is_allowed() {
    let error = from_environment(&[("IGSTREAM__SERVER__BIND", "localhost")]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "configuration: server.bind = \"localhost\" (environment variable IGSTREAM__SERVER__BIND) is not allowed; \
         it must be an IP address with a port, such as 127.0.0.1:8080"
    );
}

#[test]
fn the_documentation_shows_an_error_as_it_prints() {
    let files = Files::new();
    let file = files.write(
        "igstream.toml",
        "[server]\nbind = \"localhost\"\nbody_limit = 1048576\n[database]\nurl = \"mysql://ig:hunter2@db/ig\"\n",
    );
    let environment = [("IGSTREAM__STREAM__KEEP_DAYS", "week")];
    let error = Config::load_with(Some(&file), false, environment)
        .unwrap_err()
        .to_string();
    let text = error.replace(file.to_str().unwrap(), "igstream.toml");
    assert!(
        include_str!("../../docs/configuration.md").contains(&format!("```text\n{text}\n```")),
        "{text}"
    );
}

#[test]
fn all_errors_are_told_at_once() {
    let files = Files::new();
    let file = files.write(
        "igstream.toml",
        "[server]\nbnd = \"x\"\nbody_limit_bytes = \"big\"\n[nast]\nmode = 1\n",
    );
    let environment = [
        ("IGSTREAM__LOG__FORMAT", "xml"),
        ("IGSTREAM__SERVER__BINDE", "x"),
    ];
    let error = Config::load_with(Some(&file), false, environment).unwrap_err();
    let keys: Vec<&str> = error.problems().iter().map(super::Problem::key).collect();
    assert_eq!(
        keys,
        [
            "IGSTREAM__SERVER__BINDE",
            "log.format",
            "nast",
            "server.bnd",
            "server.body_limit_bytes"
        ]
    );
    let text = error.to_string();
    assert!(
        text.starts_with("configuration: 5 things are wrong\n"),
        "{text}"
    );
    for hint in [
        "did you mean server.bind?",
        "did you mean nats?",
        "did you mean IGSTREAM__SERVER__BIND?",
    ] {
        assert!(text.contains(hint), "{text}");
    }
}

#[test]
fn a_value_in_place_of_a_section_is_refused() {
    let error = from_file("nats = \"hunter2\"").unwrap_err().to_string();
    assert!(
        error.contains("nats (file ") && error.contains("[nats]") && !error.contains("hunter2"),
        "{error}"
    );
}

#[test]
fn variables_of_others_are_left_alone() {
    let environment = [
        ("IGSTREAM_PORT", "tcp://10.0.0.1:80"),
        ("PATH", "/bin"),
        ("SERVER__BIND", "x"),
    ];
    assert!(from_environment(&environment).is_ok());
    let error = from_environment(&[("igstream__server__bind", "127.0.0.1:1")]).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("environment variable igstream__server__bind is not a key"),
        "{error}"
    );
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_not_utf8_is_refused_by_name() {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;
    let environment = [(
        OsString::from("IGSTREAM__LOG__LEVEL"),
        OsString::from_vec(vec![0xff]),
    )];
    let error = Config::load_with(None, false, environment).unwrap_err();
    assert_eq!(
        error.to_string(),
        "configuration: log.level: environment variable IGSTREAM__LOG__LEVEL is not UTF-8"
    );
}

#[test]
fn later_layers_win() {
    let files = Files::new();
    let file = files.write(
        "igstream.toml",
        "[accounts]\nauto_register = false\n[server]\nbind = \"127.0.0.1:1\"\nbody_limit_bytes = 2048\n",
    );
    let environment = [("IGSTREAM__SERVER__BIND", "127.0.0.1:2")];
    let config = Config::load_with(Some(&file), true, environment).unwrap();
    assert_eq!(config.server.bind.port(), 2, "environment over file");
    assert_eq!(config.server.body_limit_bytes, 2048, "file over defaults");
    assert!(
        !config.accounts.auto_register,
        "file over the demo's defaults"
    );
    assert!(
        Config::load_with(None, true, NO_ENVIRONMENT)
            .unwrap()
            .accounts
            .auto_register,
        "demo over defaults"
    );
}

#[test]
fn variables_keep_the_type_of_their_key() {
    let config = from_environment(&[
        ("IGSTREAM__INSTAGRAM__VERIFY_TOKEN", "0123"),
        ("IGSTREAM__INSTAGRAM__APP_SECRETS", "007, true"),
        ("IGSTREAM__AUTH__JWT_SECRET", "[1,2]"),
        ("IGSTREAM__HANDLERS__BACKOFF_SECONDS", "1, 3 ,9"),
        ("IGSTREAM__PRIVACY__KEEP_UNSENT", "true"),
        ("IGSTREAM__SERVER__ACCEPT_TIMEOUT", "1500ms"),
    ])
    .unwrap();
    assert_eq!(config.instagram.verify_token.unwrap().expose(), "0123");
    let secrets: Vec<&str> = config
        .instagram
        .app_secrets
        .iter()
        .map(super::Secret::expose)
        .collect();
    assert_eq!(secrets, ["007", "true"]);
    assert_eq!(config.auth.jwt_secret.unwrap().expose(), "[1,2]");
    assert!(config.privacy.keep_unsent);
    assert_eq!(config.server.accept_timeout, Duration::from_millis(1500));
    let waits: Vec<u64> = (1..=6)
        .map(|attempt| config.handlers.backoff_before(attempt).as_secs())
        .collect();
    assert_eq!(waits, [0, 1, 3, 9, 9, 9]);
}

#[test]
fn a_list_in_a_file_may_be_separated_by_commas() {
    let config =
        from_file("[nats]\nmode = \"external\"\nurl = \"nats://a:4222, tls://b:4222\"\n").unwrap();
    let urls: Vec<&str> = config.nats.url.iter().map(super::Secret::expose).collect();
    assert_eq!(urls, ["nats://a:4222", "tls://b:4222"]);
    assert_eq!(config.nats.durability(), Durability::File);
}

#[test]
fn secrets_can_be_given_as_files() {
    let files = Files::new();
    let path = |name: &str, text: &str| files.write(name, text).to_str().unwrap().to_owned();
    let config = from_environment(&[
        ("IGSTREAM__NATS__MODE", "external"),
        (
            "IGSTREAM__INSTAGRAM__APP_SECRETS_FILE",
            &path("app", "new\r\nold\n\n"),
        ),
        (
            "IGSTREAM__INSTAGRAM__VERIFY_TOKEN_FILE",
            &path("token", " 0123 \n"),
        ),
        ("IGSTREAM__AUTH__JWT_SECRET_FILE", &path("jwt", "shared")),
        (
            "IGSTREAM__DATABASE__URL_FILE",
            &path("db", "postgres://ig:hunter2@db/igstream\n"),
        ),
        (
            "IGSTREAM__NATS__URL_FILE",
            &path("nats", "nats://a:4222,nats://b:4222\nnats://c:4222\n"),
        ),
    ])
    .unwrap();
    let secrets: Vec<&str> = config
        .instagram
        .app_secrets
        .iter()
        .map(super::Secret::expose)
        .collect();
    assert_eq!(secrets, ["new", "old"]);
    assert_eq!(config.instagram.verify_token.unwrap().expose(), " 0123 ");
    assert_eq!(config.auth.jwt_secret.unwrap().expose(), "shared");
    assert_eq!(
        config.database.url.expose(),
        "postgres://ig:hunter2@db/igstream"
    );
    assert_eq!(config.nats.url.len(), 3);
}

#[test]
fn a_secret_given_twice_is_refused_unless_one_is_nothing() {
    let files = Files::new();
    let token = files.write("token", "hunter2\n");
    let file = files.write("igstream.toml", "[instagram]\nverify_token = \"hunter3\"\n");
    let variable = (
        "IGSTREAM__INSTAGRAM__VERIFY_TOKEN_FILE",
        token.to_str().unwrap(),
    );
    let error = Config::load_with(Some(&file), false, [variable])
        .unwrap_err()
        .to_string();
    for part in [
        "instagram.verify_token (file ",
        "igstream.toml",
        "verify_token_file (environment variable IGSTREAM__",
    ] {
        assert!(error.contains(part), "{error}");
    }
    assert!(!error.contains("hunter"), "{error}");
    let nothing = ("IGSTREAM__INSTAGRAM__VERIFY_TOKEN", "");
    let config = Config::load_with(Some(&file), false, [variable, nothing]).unwrap();
    assert_eq!(config.instagram.verify_token.unwrap().expose(), "hunter2");
}

#[test]
fn the_file_of_a_secret_must_hold_one() {
    let files = Files::new();
    let empty = files.write("secret", "\n");
    let error = from_environment(&[(
        "IGSTREAM__INSTAGRAM__APP_SECRETS_FILE",
        empty.to_str().unwrap(),
    )])
    .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("is empty; write the secret into it"),
        "{error}"
    );
    let wrong = files.write("url", "mysql://root:hunter2@db/x");
    let error = from_environment(&[("IGSTREAM__DATABASE__URL_FILE", wrong.to_str().unwrap())])
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("named by database.url_file; value not shown") && !error.contains("hunter2"),
        "{error}"
    );
}

#[test]
fn no_secret_is_in_an_error_or_in_debug() {
    for (key, wrong) in [
        ("instagram.app_secrets", "[\"hunter2\", \"\"]"),
        ("instagram.app_secrets", "[[\"hunter2\"]]"),
        ("instagram.verify_token", "[\"hunter2\"]"),
        ("nats.url", "[\"hunter2\"]"),
        ("database.url", "\"mysql://root:hunter2@db/x\""),
        ("auth.jwt_secret", "{ a = \"hunter2\" }"),
        ("auth.jwks_url", "\"ftp://me:hunter2@keys\""),
        ("auth.jwt_secret", "\"hunter2"),
        ("auth.jwt_secret", "hunter2"),
        ("auth.jwt_secret", "\"hunter2\" hunter2"),
        ("auth.jwt_secret", "\"hunter2\"\njwt_secret = \"hunter2\""),
        ("auth.jwt_secret_", "\"hunter2\""),
    ] {
        let (section, name) = key.split_once('.').unwrap();
        let error = from_file(&format!("[{section}]\n{name} = {wrong}\n")).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }
    let config = from_environment(&[
        ("IGSTREAM__INSTAGRAM__APP_SECRETS", "hunter2,hunter2"),
        ("IGSTREAM__INSTAGRAM__VERIFY_TOKEN", "hunter2"),
        ("IGSTREAM__AUTH__JWT_SECRET", "hunter2"),
        ("IGSTREAM__NATS__MODE", "external"),
        ("IGSTREAM__NATS__URL", "nats://me:hunter2@nats:4222"),
        ("IGSTREAM__DATABASE__URL", "postgres://me:hunter2@db/x"),
    ])
    .unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn a_file_that_cannot_be_used_is_named() {
    let error = Config::load_with(
        Some(Path::new("/nowhere/igstream.toml")),
        false,
        NO_ENVIRONMENT,
    )
    .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("cannot read the configuration file /nowhere/igstream.toml: No such file"),
        "{error}"
    );
    let error = from_file("[server]\n\nbind = = 1\n")
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("igstream.toml is not TOML: line 3, column"),
        "{error}"
    );
}

#[test]
fn missing_secrets_are_told_to_those_who_need_them() {
    let config = from_environment(&[]).unwrap();
    let error = config.require_instagram().unwrap_err().to_string();
    for part in [
        "instagram.app_secrets is not set",
        "instagram.verify_token is not set",
        "IGSTREAM__INSTAGRAM__VERIFY_TOKEN",
    ] {
        assert!(error.contains(part), "{error}");
    }
    assert!(config.require_app_secrets().is_err());
    assert!(config.require_jwt_secret().is_err());
    let config = from_environment(&[("IGSTREAM__INSTAGRAM__APP_SECRETS", "x")]).unwrap();
    assert!(config.require_app_secrets().is_ok());
    assert!(config.require_instagram().is_err());
}

#[test]
fn a_demo_makes_the_secrets_that_are_not_configured() {
    let config = Config::load_with(None, true, NO_ENVIRONMENT).unwrap();
    config.require_instagram().unwrap();
    config.require_jwt_secret().unwrap();
    let generated = config.generated.unwrap();
    let app_secret = generated.app_secret.unwrap();
    assert_eq!(app_secret.expose().len(), 32);
    assert!(app_secret.expose().chars().all(|c| c.is_ascii_hexdigit()));
    assert_eq!(
        config.instagram.app_secrets[0].expose(),
        app_secret.expose()
    );

    let given = [
        ("IGSTREAM__INSTAGRAM__APP_SECRETS", "mine"),
        ("IGSTREAM__AUTH__JWKS_URL", "https://login.example.com/keys"),
    ];
    let config = Config::load_with(None, true, given).unwrap();
    assert_eq!(config.instagram.app_secrets.len(), 1);
    let generated = config.generated.unwrap();
    assert!(
        generated.app_secret.is_none()
            && generated.jwt_secret.is_none()
            && generated.verify_token.is_some()
    );
}

#[test]
fn values_must_fit_each_other() {
    let cases: &[(&str, &[(&str, &str)])] = &[
        ("nats.url", &[("IGSTREAM__NATS__MODE", "external")]),
        ("nats.url", &[("IGSTREAM__NATS__URL", "nats://a:4222")]),
        ("stream.replicas", &[("IGSTREAM__STREAM__REPLICAS", "3")]),
        (
            "server.max_waiting_bytes",
            &[("IGSTREAM__SERVER__MAX_WAITING_BYTES", "2048")],
        ),
        (
            "metrics.bind",
            &[("IGSTREAM__METRICS__BIND", "127.0.0.1:8080")],
        ),
        (
            "nats.tls_key_file",
            &[("IGSTREAM__NATS__TLS_CERT_FILE", "/nowhere")],
        ),
    ];
    for (key, environment) in cases {
        let error = from_environment(environment).unwrap_err();
        assert!(
            error.problems().iter().any(|problem| problem.key() == *key),
            "{key}: {error}"
        );
    }
    let free_ports = [
        ("IGSTREAM__METRICS__BIND", "127.0.0.1:0"),
        ("IGSTREAM__SERVER__BIND", "127.0.0.1:0"),
    ];
    assert!(from_environment(&free_ports).is_ok());
}

#[test]
fn the_example_for_production_loads() {
    let files = Files::new();
    let place = files.0.path().to_str().unwrap().to_owned();
    for (name, text) in [
        ("instagram_app_secrets", "new\nold\n"),
        ("instagram_verify_token", "token\n"),
        ("igstream.creds", "creds"),
        ("ca.pem", "pem"),
        (
            "database_url",
            "postgres://igstream:x@db.internal/igstream\n",
        ),
    ] {
        files.write(name, text);
    }
    let text = include_str!("../../config/production.example.toml");
    let text = text
        .replace("/run/secrets", &place)
        .replace("/etc/igstream", &place);
    let config = Config::load_with(
        Some(&files.write("production.toml", &text)),
        false,
        NO_ENVIRONMENT,
    )
    .unwrap();
    config.require_instagram().unwrap();
    assert_eq!(config.nats.url.len(), 3);
    assert_eq!(config.nats.durability(), Durability::Fsync);
    assert_eq!(
        config.database.url.url_without_credentials(),
        "postgres://db.internal/igstream"
    );
    assert_eq!(config.log.format, LogFormat::Json);
}
