//! `igstream subscribe`: has Instagram post the app's events here, and sees the handshake through.

use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use url::Url;

use crate::config::{Config, Secret};
use crate::graph::{AppSubscription, GraphClient, GraphError, Kind, Subscribed, is_field};
use crate::receiver::PATH;
use crate::service::app_graph;

const HELP: &str = "\
Example:
  igstream --config production.toml subscribe --app-id 188559381496048 \\
    --callback-url https://hooks.example.com/api/instagram/webhooks --fields comments,messages

The service must run, with the same verify token, and be reached at the callback URL: Meta asks it (the
handshake) before it answers. Needs instagram.app_secrets and instagram.verify_token. After this, each account is
subscribed by itself: POST /api/instagram/webhooks/subscriptions. Exit 1: Meta refused, or has it otherwise than asked.";
/// Those of the nine event types; a story mention comes as a message.
const FIELDS: &str = "comments,live_comments,mentions,messages,message_reactions,messaging_postbacks,messaging_seen,story_insights";
const WRONG_USAGE: u8 = 2;

/// The arguments of `igstream subscribe`.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct SubscribeArgs {
    /// The app's number in Meta's app dashboard; not given: `instagram.app_id`
    #[arg(long, value_name = "ID", value_parser = app_id)]
    app_id: Option<String>,
    /// Where Instagram is to post; not given: below `server.public_url`
    #[arg(long, value_name = "URL", value_parser = web_url)]
    callback_url: Option<String>,
    /// What Instagram is to tell of, comma separated
    #[arg(long, value_delimiter = ',', default_value = FIELDS, value_parser = field)]
    fields: Vec<String>,
}

/// Runs the command.
pub async fn run(args: &SubscribeArgs, mut config: Config) -> anyhow::Result<ExitCode> {
    config.instagram.app_id = args.app_id.clone().or(config.instagram.app_id);
    config.require_app()?;
    let Some(wanted) = wanted(args, &config) else {
        eprintln!(
            "igstream: where Instagram is to post is not known: give --callback-url, or set server.public_url"
        );
        return Ok(ExitCode::from(WRONG_USAGE));
    };
    println!(
        "app {}: {} to be posted to {}",
        wanted.app_id,
        wanted.fields.join(", "),
        wanted.callback_url
    );
    let graph = app_graph(&config);
    let secret = subscribe(&graph, &wanted, &config.instagram.app_secrets).await?;
    let found = graph.app_subscription(&wanted.app_id, secret).await?;
    Ok(tell(&wanted, found.as_ref()))
}

fn wanted(args: &SubscribeArgs, config: &Config) -> Option<AppSubscription> {
    let below_public = || {
        let public = config.server.public_url.as_ref()?;
        Some(format!("{public}{PATH}"))
    };
    Some(AppSubscription {
        app_id: config.instagram.app_id.clone()?,
        callback_url: args.callback_url.clone().or_else(below_public)?,
        verify_token: config.instagram.verify_token.clone()?,
        fields: args.fields.clone(),
    })
}

/// With each of the secrets until one is the app's: others can be configured beside it.
async fn subscribe<'a>(
    graph: &GraphClient,
    wanted: &AppSubscription,
    secrets: &'a [Secret],
) -> anyhow::Result<&'a Secret> {
    let mut refused: Option<GraphError> = None;
    for secret in secrets {
        match graph.subscribe_app(wanted, secret).await {
            Ok(()) => return Ok(secret),
            Err(error) if error.kind() == Some(Kind::Token) => refused = Some(error),
            Err(error) => return Err(error.into()),
        }
    }
    match refused {
        Some(error) => Err(error.into()),
        None => bail!("no app secret is configured"),
    }
}

/// Whether Meta has it as it was asked for.
fn tell(wanted: &AppSubscription, found: Option<&Subscribed>) -> ExitCode {
    let wrong = match found {
        None => vec!["Meta has no subscription of the app to instagram".to_owned()],
        Some(found) => differences(wanted, found),
    };
    if wrong.is_empty() {
        println!("the handshake was answered: Meta has the subscription, and it is active");
        return ExitCode::SUCCESS;
    }
    for line in wrong {
        eprintln!("igstream: {line}");
    }
    eprintln!(
        "igstream: run it again; if that stays, look at Webhooks, Instagram in Meta's app dashboard"
    );
    ExitCode::FAILURE
}

fn differences(wanted: &AppSubscription, found: &Subscribed) -> Vec<String> {
    let mut differences = Vec::new();
    if !found.active {
        differences.push(
            "the handshake was not answered: Meta has the subscription, and it is not active"
                .to_owned(),
        );
    }
    if found.callback_url != wanted.callback_url {
        differences.push(format!(
            "Meta posts to {} and not to {}",
            found.callback_url, wanted.callback_url
        ));
    }
    let missing = wanted
        .fields
        .iter()
        .filter(|field| !found.fields.contains(field));
    let missing: Vec<&str> = missing.map(String::as_str).collect();
    if !missing.is_empty() {
        differences.push(format!("Meta does not tell of {}", missing.join(", ")));
    }
    differences
}

fn app_id(given: &str) -> Result<String, String> {
    let is_number =
        (1..=20).contains(&given.len()) && given.bytes().all(|byte| byte.is_ascii_digit());
    is_number
        .then(|| given.to_owned())
        .ok_or_else(|| "it is a number, such as 188559381496048".to_owned())
}

fn web_url(given: &str) -> Result<String, String> {
    let url = Url::parse(given).map_err(|error| error.to_string())?;
    if matches!(url.scheme(), "http" | "https") && url.has_host() {
        return Ok(given.to_owned());
    }
    Err("it is a URL such as https://hooks.example.com/api/instagram/webhooks".to_owned())
}

fn field(given: &str) -> Result<String, String> {
    if is_field(given) {
        return Ok(given.to_owned());
    }
    Err("a field is a word such as comments or messaging_seen".to_owned())
}
