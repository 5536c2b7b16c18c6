//! The OpenAPI document, made from the handlers, and a page to browse it.
//!
//! What every operation has in common is added here: that a token is needed, the problems that any can meet, and that
//! each is told as a problem. So a handler says only its good answers, and the status and the meaning of a problem of its
//! own (`(status = 409, description = "…")`).

use axum::Router;
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::map_response;
use axum::response::Response;
use axum::routing::get;
use utoipa::OpenApi as _;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{self, ContentBuilder, OpenApi, Ref, RefOr};
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::problem::{FieldError, Kind, MEDIA_TYPE, Place, ProblemBody};
use super::stream::{StoredEvent, StreamGap};

/// Where the document is.
pub const PATH: &str = "/openapi.json";
/// Where it can be browsed.
pub const PAGE: &str = "/docs";
/// What the security scheme is called in the document.
const TOKEN: &str = "token";

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "igstream management API",
        description = "Accounts, events, dead letters and replays of igstream. Every request needs a bearer token; what goes wrong is told as problem details (RFC 9457). Times are RFC 3339, UTC.",
    ),
    components(schemas(ProblemBody<'static>, FieldError, Place, StoredEvent, StreamGap)),
)]
struct Base;

/// What the handlers' parts are put into.
pub(super) fn base() -> OpenApi {
    let mut document = Base::openapi();
    document.info.contact = None;
    document.info.license = None;
    let scheme = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .description(Some(
            "Claims: exp; accounts, a list of account ids, or \"*\"; scope, of webhooks:read and webhooks:write",
        ));
    let components = document.components.get_or_insert_default();
    components.add_security_scheme(TOKEN, SecurityScheme::Http(scheme.build()));
    document
}

/// Adds to each operation what all have in common.
pub(super) fn complete(document: &mut OpenApi) {
    for item in document.paths.paths.values_mut() {
        let operations = [
            &mut item.get,
            &mut item.put,
            &mut item.post,
            &mut item.delete,
            &mut item.patch,
        ];
        for operation in operations.into_iter().flatten() {
            let none: [&str; 0] = [];
            operation.security = Some(vec![SecurityRequirement::new(TOKEN, none)]);
            for kind in problems_of(operation) {
                let status = kind.status().as_u16().to_string();
                let responses = &mut operation.responses.responses;
                responses.entry(status).or_insert_with(|| problem(kind));
            }
            for (status, response) in &mut operation.responses.responses {
                if let RefOr::T(response) = response {
                    add_id(response);
                    if status.starts_with(['4', '5']) && response.content.is_empty() {
                        response
                            .content
                            .insert(MEDIA_TYPE.to_owned(), told().into());
                    }
                }
            }
        }
    }
}

/// What can go wrong with an operation, by what it takes.
fn problems_of(operation: &Operation) -> Vec<Kind> {
    let mut kinds = vec![
        Kind::Unauthorized,
        Kind::Forbidden,
        Kind::TooManyRequests,
        Kind::Internal,
        Kind::Unavailable,
    ];
    let parameters = operation.parameters.iter().flatten();
    let places = parameters.filter_map(|parameter| match parameter {
        RefOr::T(parameter) => Some(&parameter.parameter_in),
        RefOr::Ref(_) => None,
    });
    for place in places {
        kinds.push(Kind::Invalid);
        if matches!(place, ParameterIn::Path) {
            kinds.push(Kind::NotFound);
        }
    }
    if operation.request_body.is_some() {
        kinds.extend([Kind::Invalid, Kind::TooLarge, Kind::UnsupportedMediaType]);
    }
    kinds
}

/// What a problem is told by.
fn told() -> openapi::Content {
    let schema = Ref::from_schema_name("Problem");
    ContentBuilder::new().schema(Some(schema)).build()
}

/// A problem as a response of the document.
fn problem(kind: Kind) -> RefOr<openapi::Response> {
    let mut response = ResponseBuilder::new().description(kind.title());
    let text = |description: &str| {
        HeaderBuilder::new()
            .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
            .description(Some(description))
            .build()
    };
    match kind {
        Kind::Unauthorized => {
            response = response.header(
                "WWW-Authenticate",
                text("Why the token is not good (RFC 6750)"),
            );
        }
        Kind::TooManyRequests | Kind::Unavailable => {
            response = response.header("Retry-After", text("When to ask again, in seconds"));
        }
        _ => {}
    }
    response.build().into()
}

fn add_id(response: &mut openapi::Response) {
    let id = HeaderBuilder::new()
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .description(Some("The id of the request: the client's, or a new one"))
        .build();
    let headers = &mut response.headers;
    headers
        .entry("X-Request-Id".to_owned())
        .or_insert(id.into());
}

/// Serves the document and the page.
pub(super) fn routes<S: Clone + Send + Sync + 'static>(document: &OpenApi) -> Router<S> {
    let json: bytes::Bytes = document.to_json().unwrap_or_default().into();
    let answer = move || {
        let json = json.clone();
        async move { ([(header::CONTENT_TYPE, "application/json")], json) }
    };
    // Nobody else is asked whether the document is good.
    let config = Config::from(PATH).validator_url("none");
    let page: Router<S> = SwaggerUi::new(PAGE).config(config).into();
    page.route_layer(map_response(confine))
        .route(PATH, get(answer))
}

/// The page needs its own files, and nothing from elsewhere.
async fn confine(mut response: Response) -> Response {
    response.headers_mut().insert(
        HeaderName::from_static("content-security-policy"),
        HeaderValue::from_static(
            "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'",
        ),
    );
    response
}
