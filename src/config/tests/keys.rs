//! Every key, one by one: the default, the comment, the documentation, a wrong value.

use std::collections::BTreeSet;

use super::{Files, from_environment, from_file};
use crate::config::layers::DEFAULTS;
use crate::config::{Config, ConfigError, Problem, keys};
use crate::instagram::types;

type Wrong = (&'static str, &'static str, Option<&'static str>);

/// What is wrong for a key: as TOML in a file, and as a variable where not every text is right.
const WRONG: &[Wrong] = &[
    ("server.bind", "\"localhost\"", Some("8080")),
    ("server.public_url", "5", Some("hooks.example.com")),
    ("server.body_limit_bytes", "0", Some("4 MiB")),
    ("server.accept_timeout", "4", Some("2h")),
    ("server.shutdown_timeout", "\"soon\"", Some("0s")),
    ("server.max_waiting_bytes", "-1", Some("")),
    ("server.max_waiting_deliveries", "0", Some("many")),
    ("server.max_connections", "0", Some("many")),
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
    ("instagram.app_id", "\"my app\"", Some("my app")),
    (
        "instagram.app_graph_url",
        "\"\"",
        Some("graph.facebook.com"),
    ),
    ("instagram.graph_timeout", "10", Some("2h")),
    ("instagram.graph_patience", "\"0s\"", Some("long")),
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
    ("auth.issuer", "1", None),
    ("auth.audience", "[]", None),
    ("api.rate_limit_per_second", "0", Some("many")),
    ("api.rate_limit_burst", "0", Some("100001")),
    (
        "api.cors_origins",
        "[\"console.example.com\"]",
        Some("https://console.example.com/page"),
    ),
    ("api.database_connections", "0", Some("1001")),
    ("api.max_streams", "0", Some("100001")),
    ("api.max_streams_per_token", "0", Some("all")),
    ("accounts.auto_register", "1", Some("1")),
    ("accounts.encryption_key", "\"short\"", Some("short")),
    (
        "accounts.encryption_key_file",
        "\"/nowhere/key\"",
        Some("/nowhere/key"),
    ),
    (
        "accounts.previous_encryption_keys",
        "[\"short\"]",
        Some("short"),
    ),
    (
        "accounts.previous_encryption_keys_file",
        "\"/nowhere/keys\"",
        Some("/nowhere/keys"),
    ),
    ("handlers.max_attempts", "0", Some("0")),
    ("handlers.backoff_seconds", "[]", Some("2,soon")),
    ("handlers.batch_size", "1001", Some("0")),
    ("handlers.at_once", "0", Some("101")),
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

/// The same for every key.
fn all_wrong() -> impl Iterator<Item = Wrong> {
    let priorities = keys::KEYS.iter().filter(|key| is_priority(&key.name));
    let wrong = priorities.map(|key| (&*key.name, "0", Some("11")));
    WRONG.iter().copied().chain(wrong)
}

fn is_priority(key: &str) -> bool {
    key.starts_with("handlers.priority.")
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
    let keys: Vec<&str> = error.problems().iter().map(Problem::key).collect();
    // A certificate without a key is told as well.
    assert!(keys.contains(&key), "{key}: {error}");
    assert!(keys.len() == 1 || key.contains("tls"), "{key}: {error}");
    let text = error.to_string();
    assert!(text.contains(key), "{text}");
    let names_origin = text.contains(origin) || text.contains("cannot read the file /nowhere/");
    assert!(names_origin, "{key}: {text} should name {origin}");
}

#[test]
fn every_key_has_a_default_a_comment_a_rule_and_a_wrong_value() {
    let defaults = keys_of_defaults();
    let names = defaults.iter().map(|(name, _)| name.as_str());
    let (priorities, names): (Vec<&str>, Vec<&str>) = names.partition(|name| is_priority(name));
    let ruled: Vec<&str> = keys::PLAIN.iter().map(|key| &*key.name).collect();
    assert_eq!(names, ruled, "default.toml and PLAIN");
    let keys: BTreeSet<&str> = keys::KEYS.iter().map(|key| &*key.name).collect();
    let all = names.iter().chain(&priorities).copied().collect();
    assert_eq!(keys, all, "KEYS and default.toml");
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
    let text = include_str!("../../../docs/configuration.md");
    let documented: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(key, _)| key)
        .collect();
    let known: BTreeSet<&str> = keys::KEYS.iter().map(|key| &*key.name).collect();
    assert_eq!(documented, known);
    let defaults = toml::Value::Table(DEFAULTS.parse().unwrap());
    for key in keys::KEYS.iter() {
        let default = key.name.split('.').fold(&defaults, |at, name| &at[name]);
        let default = match default.to_string() {
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
    for (key, wrong, _) in all_wrong() {
        let (section, name) = key.rsplit_once('.').unwrap();
        assert_refused(
            from_file(&format!("[{section}]\n{name} = {wrong}\n")),
            key,
            "igstream.toml",
        );
    }
}

#[test]
fn a_wrong_value_in_the_environment_is_refused() {
    for (key, _, wrong) in all_wrong() {
        let variable = keys::variable(key);
        if let Some(wrong) = wrong {
            assert_refused(from_environment(&[(&variable, wrong)]), key, &variable);
        }
    }
}

/// A type has its priority where it has all else; the file only shows it.
#[test]
fn the_defaults_show_the_priority_that_each_type_has() {
    let defaults = toml::Value::Table(DEFAULTS.parse().unwrap());
    let shown = defaults["handlers"]["priority"].as_table().unwrap();
    let own = types::with_unknown().map(|of| (of.name.to_owned(), of.priority.into()));
    assert_eq!(*shown, own.collect());
    assert!(types::with_unknown().all(|of| (1..=10).contains(&of.priority)));
}

#[test]
fn a_priority_of_no_type_is_refused() {
    for (text, told) in [
        (
            "[handlers.priority]\nmesage = 1",
            "handlers.priority.mesage (file igstream.toml) is not a key of the configuration; did you mean handlers.priority.message?",
        ),
        (
            "[handlers]\npriority = 1",
            "handlers.priority (file igstream.toml) is not a key but a section; write [handlers.priority] and its keys below",
        ),
        (
            "[handlers.priority.message]\nlow = 1",
            "handlers.priority.message (file igstream.toml; value not shown) is not allowed; it must be a whole number from 1 (first) to 10 (last)",
        ),
        (
            "[handlers.priority]\nmessage = 11",
            "handlers.priority.message = 11 (file igstream.toml) is not allowed; it must be a whole number from 1 (first) to 10 (last)",
        ),
    ] {
        let files = Files::new();
        let file = files.write("igstream.toml", text);
        let error = Config::load_with(Some(&file), false, super::NO_ENVIRONMENT).unwrap_err();
        let error = error.to_string();
        let error = error.replace(file.to_str().unwrap(), "igstream.toml");
        assert_eq!(error, format!("configuration: {told}"));
    }
    let error = from_environment(&[("IGSTREAM__HANDLERS__PRIORITY__SEEN", "1")]).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("IGSTREAM__HANDLERS__PRIORITY__SEEN is not a key of the configuration"),
        "{error}"
    );
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
        include_str!("../../../docs/configuration.md").contains(&format!("```text\n{text}\n```")),
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
    let keys: Vec<&str> = error.problems().iter().map(Problem::key).collect();
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
