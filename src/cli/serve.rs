//! `igstream serve`: the whole service, or a part of it.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use crate::api::auth::{Accounts, Grant, Scope, issue};
use crate::api::openapi;
use crate::config::{Config, Generated};
use crate::receiver::PATH;
use crate::service::{Role, Service};

const DEMO_TOKEN_LASTS: Duration = Duration::from_hours(24);

/// Run the service
#[derive(Debug, Default, Args)]
#[command(
    after_help = "Examples:\n  igstream serve --demo\n  igstream --config production.toml serve --roles receiver,publisher"
)]
pub struct ServeArgs {
    /// Needs no configuration at all: makes its own secrets, knows every account
    #[arg(long)]
    pub demo: bool,
    /// What this process does; all of it when not given
    #[arg(long, value_delimiter = ',', value_name = "ROLE")]
    roles: Vec<Role>,
}

/// Runs until SIGTERM or Ctrl-C.
pub async fn run(args: &ServeArgs, config: Config) -> anyhow::Result<ExitCode> {
    let roles = roles(&args.roles);
    if roles.contains(&Role::Receiver) {
        config.require_instagram()?;
    }
    let generated = config.generated.clone();
    let token = args.demo.then(|| demo_token(&config)).flatten();
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    let mut shutdown = Box::pin(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    });
    let service = tokio::select! {
        service = Service::start(config, &roles) => service?,
        () = &mut shutdown => return Ok(ExitCode::SUCCESS),
    };
    if let Some(generated) = generated {
        print_generated(&generated, token.as_deref(), &service);
    }
    service.run(shutdown).await?;
    Ok(ExitCode::SUCCESS)
}

fn roles(given: &[Role]) -> BTreeSet<Role> {
    match given {
        [] => BTreeSet::from([Role::Receiver, Role::Publisher, Role::Handlers, Role::Api]),
        given => given.iter().copied().collect(),
    }
}

/// Once, to whoever started the demo: nobody else can know them.
fn print_generated(generated: &Generated, token: Option<&str>, service: &Service) {
    let lines = [
        ("IGSTREAM__INSTAGRAM__APP_SECRETS", &generated.app_secret),
        ("IGSTREAM__INSTAGRAM__VERIFY_TOKEN", &generated.verify_token),
        ("IGSTREAM__AUTH__JWT_SECRET", &generated.jwt_secret),
    ];
    println!("igstream demo: webhooks at http://{}{PATH}", service.http());
    println!("Made for this run:");
    for (variable, secret) in lines {
        if let Some(secret) = secret {
            println!("  export {variable}={}", secret.expose());
        }
    }
    println!("With these, play Instagram from another terminal:");
    println!("  igstream simulate --url http://{}{PATH}", service.http());
    if let Some(token) = token {
        println!(
            "The management API: http://{}{} shows it; a token, good for a day:",
            service.http(),
            openapi::PAGE
        );
        println!("  export IGSTREAM_TOKEN={token}");
    }
}

/// For all that there is, where the demo made the secret that signs it.
fn demo_token(config: &Config) -> Option<String> {
    let grant = Grant {
        subject: "demo".to_owned(),
        accounts: Accounts::All,
        scopes: Scope::EVERY.to_vec(),
        lasts: DEMO_TOKEN_LASTS,
        issuer: config.auth.issuer.clone(),
        audience: config.auth.audience.clone(),
    };
    let secret = config.generated.as_ref()?.jwt_secret.as_ref()?;
    issue(&grant, secret).ok()
}
