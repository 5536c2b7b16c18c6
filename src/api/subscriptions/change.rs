//! Instagram is asked to tell of an account, or not to any more.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::de::{Deserialize, Deserializer, Error};
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};
use uuid::Uuid;

use super::{OfSubscription, Subscription, found};
use crate::api::accounts::open;
use crate::api::auth::{Caller, Write};
use crate::api::extract::{Json as Body, NoQuery, Path};
use crate::api::problem::{Kind, Problem, Result};
use crate::api::{Api, BASE};
use crate::graph::{self, is_field};

const MOST_FIELDS: usize = 50;

/// What Instagram is to tell of
#[derive(Debug, serde::Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewSubscription {
    /// The account; an access token of it must be stored
    account_id: Uuid,
    /// The webhook fields, such as `comments`, `messages`, `messaging_seen`
    #[schema(inline)]
    fields: Fields,
}

/// Names of webhook fields, each once.
#[derive(Debug)]
struct Fields(Vec<String>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(source: D) -> std::result::Result<Self, D::Error> {
        let fields = Vec::<String>::deserialize(source)?;
        let is_once = |(nth, field): (usize, &String)| !fields[..nth].contains(field);
        let are_good = (1..=MOST_FIELDS).contains(&fields.len())
            && fields.iter().all(|field| is_field(field))
            && fields.iter().enumerate().all(is_once);
        if are_good {
            return Ok(Self(fields));
        }
        Err(D::Error::custom(format!(
            "it must be 1 to {MOST_FIELDS} names of webhook fields, each once, such as comments or messaging_seen"
        )))
    }
}

impl PartialSchema for Fields {
    fn schema() -> RefOr<Schema> {
        let name = ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some("^[a-z0-9_]{1,64}$"));
        ArrayBuilder::new()
            .items(name)
            .min_items(Some(1))
            .max_items(Some(MOST_FIELDS))
            .unique_items(true)
            .into()
    }
}

impl ToSchema for Fields {}

/// Has Instagram tell of an account
///
/// Asks Meta (`POST /{ig-user-id}/subscribed_apps`) with the account's access token. Asked again, these fields take
/// the place of those before.
#[utoipa::path(
    post,
    path = "/webhooks/subscriptions",
    tag = "subscriptions",
    operation_id = "subscribe",
    request_body = NewSubscription,
    responses(
        (status = 200, description = "It is subscribed to these fields now", body = Subscription),
        (status = 201, description = "It is subscribed", body = Subscription, headers(("Location" = String, description = "Where it is"))),
        (status = 404, description = "There is no such account, or the token may not see it"),
        (status = 409, description = "No access token of the account is stored, or it cannot be read"),
        (status = 502, description = "Meta refused, or cannot be asked"),
    ),
)]
pub(super) async fn create(
    _: NoQuery,
    caller: Caller<Write>,
    State(api): State<Api>,
    Body(body): Body<NewSubscription>,
) -> Result<Response> {
    let account = caller.account(&api, body.account_id).await?;
    let token = open(&api, &account)?.ok_or_else(|| {
        Problem::new(
            Kind::Conflict,
            "no access token of the account is stored: store it with PATCH /accounts/{accountId}",
        )
    })?;
    let before = api.store().subscription_of(account.id).await?;
    let Fields(fields) = body.fields;
    let ig_account_id = &account.instagram_business_account_id;
    api.graph()
        .subscribe(ig_account_id, &fields, &token)
        .await?;
    let row = api.store().subscribed(account.id, &fields).await?;
    let row = row.ok_or_else(|| Problem::no_such("account"))?;
    if before.is_some() {
        return Ok(Json(Subscription::from(row)).into_response());
    }
    let location = HeaderValue::from_str(&format!("{BASE}/webhooks/subscriptions/{}", row.id));
    let mut response = (StatusCode::CREATED, Json(Subscription::from(row))).into_response();
    if let Ok(location) = location {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// Has Instagram tell nothing more of an account
///
/// At Meta too (`DELETE /{ig-user-id}/subscribed_apps`), unless Meta says that the token is no good any more, or the
/// account is stopped and has none: then the app is removed there already.
#[utoipa::path(
    delete,
    path = "/webhooks/subscriptions/{subscriptionId}",
    tag = "subscriptions",
    operation_id = "unsubscribe",
    params(("subscriptionId" = Uuid, Path, description = "The subscription")),
    responses(
        (status = 204, description = "It is deleted"),
        (status = 409, description = "No access token of the account is stored, or it cannot be read"),
        (status = 502, description = "Meta refused, or cannot be asked"),
    ),
)]
pub(super) async fn remove(
    _: NoQuery,
    caller: Caller<Write>,
    State(api): State<Api>,
    Path(path): Path<OfSubscription>,
) -> Result<StatusCode> {
    let row = found(&api, &caller, path.subscription_id).await?;
    let account = caller.account(&api, row.account_id).await?;
    match open(&api, &account)? {
        Some(token) => {
            let ig_account_id = &account.instagram_business_account_id;
            let asked = api.graph().unsubscribe(ig_account_id, &token).await;
            asked.or_else(|error| match error.kind() {
                Some(graph::Kind::Token) => Ok(()),
                _ => Err(error),
            })?;
        }
        None if account.active => {
            return Err(Problem::new(
                Kind::Conflict,
                "no access token of the account is stored, so Meta cannot be asked: store it with PATCH /accounts/{accountId}, or stop the account first",
            ));
        }
        None => {}
    }
    api.store().delete_subscription(row.id).await?;
    Ok(StatusCode::NO_CONTENT)
}
