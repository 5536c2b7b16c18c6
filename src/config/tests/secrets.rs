//! Secrets: from files, made by the demo, missing, and never shown.

use super::{Files, NO_ENVIRONMENT, from_environment, from_file};
use crate::config::{Config, Secret};

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
        (
            "IGSTREAM__AUTH__JWT_SECRET_FILE",
            &path("jwt", "shared by nobody but these two, ok"),
        ),
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
        .map(Secret::expose)
        .collect();
    assert_eq!(secrets, ["new", "old"]);
    assert_eq!(config.instagram.verify_token.unwrap().expose(), " 0123 ");
    assert_eq!(
        config.auth.jwt_secret.unwrap().expose(),
        "shared by nobody but these two, ok"
    );
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
        ("auth.jwt_secret", "\"hunter2\""),
        ("auth.jwt_secret", "{ a = \"hunter2\" }"),
        ("auth.jwks_url", "\"ftp://me:hunter2@keys\""),
        ("auth.jwt_secret", "\"hunter2"),
        ("auth.jwt_secret", "hunter2"),
        ("auth.jwt_secret", "\"hunter2\" hunter2"),
        ("auth.jwt_secret", "\"hunter2\"\njwt_secret = \"hunter2\""),
        ("auth.jwt_secret_", "\"hunter2\""),
        ("accounts.encryption_key", "\"hunter2\""),
        ("accounts.previous_encryption_keys", "[\"hunter2\"]"),
    ] {
        let (section, name) = key.split_once('.').unwrap();
        let error = from_file(&format!("[{section}]\n{name} = {wrong}\n")).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }
    let config = from_environment(&[
        ("IGSTREAM__INSTAGRAM__APP_SECRETS", "hunter2,hunter2"),
        ("IGSTREAM__INSTAGRAM__VERIFY_TOKEN", "hunter2"),
        ("IGSTREAM__AUTH__JWT_SECRET", &"hunter2".repeat(5)),
        ("IGSTREAM__NATS__MODE", "external"),
        ("IGSTREAM__NATS__URL", "nats://me:hunter2@nats:4222"),
        ("IGSTREAM__DATABASE__URL", "postgres://me:hunter2@db/x"),
    ])
    .unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
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
