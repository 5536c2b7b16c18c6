//! The layers and what comes out of them.

use std::path::Path;
use std::time::Duration;

use super::{Files, NO_ENVIRONMENT, from_environment, from_file};
use crate::config::{Config, Durability, LogFormat, NatsMode, Secret};

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
fn layers_say_who_goes_first_type_by_type() {
    let files = Files::new();
    let file = files.write(
        "igstream.toml",
        "[handlers]\nat_once = 4\n[handlers.priority]\nmessage = 2\nmention = 3\n",
    );
    let environment = [("IGSTREAM__HANDLERS__PRIORITY__MESSAGE", "3")];
    let handlers = Config::load_with(Some(&file), false, environment)
        .unwrap()
        .handlers;
    assert_eq!(handlers.at_once, 4);
    assert_eq!(handlers.priority["message"], 3, "environment over file");
    assert_eq!(handlers.priority["mention"], 3, "file over defaults");
    assert_eq!(handlers.priority["messaging_seen"], 8, "default");
}

#[test]
fn variables_keep_the_type_of_their_key() {
    let config = from_environment(&[
        ("IGSTREAM__INSTAGRAM__VERIFY_TOKEN", "0123"),
        ("IGSTREAM__INSTAGRAM__APP_SECRETS", "007, true"),
        (
            "IGSTREAM__AUTH__JWT_SECRET",
            "[1,2,3,4,5,6,7,8,9,10,11,12,13,14]",
        ),
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
        .map(Secret::expose)
        .collect();
    assert_eq!(secrets, ["007", "true"]);
    assert_eq!(
        config.auth.jwt_secret.unwrap().expose(),
        "[1,2,3,4,5,6,7,8,9,10,11,12,13,14]"
    );
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
    let urls: Vec<&str> = config.nats.url.iter().map(Secret::expose).collect();
    assert_eq!(urls, ["nats://a:4222", "tls://b:4222"]);
    assert_eq!(config.nats.durability(), Durability::File);
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
            "igstream_encryption_key",
            "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n",
        ),
        (
            "database_url",
            "postgres://igstream:x@db.internal/igstream\n",
        ),
    ] {
        files.write(name, text);
    }
    let text = include_str!("../../../config/production.example.toml");
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
    config.require_app().unwrap();
    config.require_encryption_key().unwrap();
    assert_eq!(config.nats.url.len(), 3);
    assert_eq!(config.nats.durability(), Durability::Fsync);
    assert_eq!(
        config.database.url.url_without_credentials(),
        "postgres://db.internal/igstream"
    );
    assert_eq!(config.log.format, LogFormat::Json);
}
