//! Meta's Graph API, played: it answers what it is told to, and remembers what it was asked.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle, time::Instant};

use super::http;

pub const VERSION: &str = "v25.0";

/// One request.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Method and path, without the version.
    pub what: String,
    /// The whole URI.
    pub uri: String,
    pub authorization: String,
    /// The form, or the query of a GET.
    pub parameters: BTreeMap<String, String>,
    pub at: Instant,
}

/// What is answered.
#[derive(Debug, Clone)]
pub enum Reply {
    Json(u16, Value),
    /// With these headers.
    With(u16, Vec<(&'static str, String)>, Value),
    /// Not what the Graph API answers.
    Text(u16, &'static str),
    Never,
}

/// Answers 200 with this.
pub fn ok(body: Value) -> Reply {
    Reply::Json(200, body)
}

/// Answers an error of this code.
pub fn error(status: u16, code: i64, message: &str) -> Reply {
    Reply::Json(status, error_body(code, message))
}

pub fn error_body(code: i64, message: &str) -> Value {
    json!({ "error": {
        "message": message, "type": "OAuthException", "code": code, "fbtrace_id": "AbCdEf",
    } })
}

/// It ends with this value.
pub struct Graph {
    address: SocketAddr,
    state: Arc<Mutex<Played>>,
    server: JoinHandle<()>,
}

#[derive(Default)]
struct Played {
    replies: BTreeMap<String, VecDeque<Reply>>,
    asked: Vec<Asked>,
    /// The app's subscription, once its handshake was answered.
    subscription: Option<Value>,
    shakes_hands: bool,
}

impl Graph {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::<Mutex<Played>>::default();
        let routes = Router::new().fallback(answer).with_state(state.clone());
        let server = tokio::spawn(async move {
            axum::serve(listener, routes).await.expect("it serves");
        });
        Self {
            address,
            state,
            server,
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What is answered to `what` (as in `GET /me`), one after the other; the last one for ever.
    pub fn on(&self, what: &str, replies: impl IntoIterator<Item = Reply>) {
        let replies = replies.into_iter().collect();
        let mut state = self.state.lock().unwrap();
        state.replies.insert(what.to_owned(), replies);
    }

    /// `/me` of the owner of every token.
    pub fn is_owner(&self, ig_account_id: &str, app_scoped_id: &str) {
        let profile = json!({ "user_id": ig_account_id, "id": app_scoped_id, "username": "shop" });
        self.on("GET /me", [ok(profile)]);
    }

    /// From now on it makes the handshake of the app's subscription, as Meta does.
    pub fn shake_hands(&self) {
        self.state.lock().unwrap().shakes_hands = true;
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.state.lock().unwrap().asked.clone()
    }

    /// The requests of one kind.
    pub fn asked_for(&self, what: &str) -> Vec<Asked> {
        let mut asked = self.asked();
        asked.retain(|asked| asked.what == what);
        asked
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answer(
    State(state): State<Arc<Mutex<Played>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let asked = read(&method, &uri, &headers, &body);
    let (reply, shakes_hands) = {
        let mut state = state.lock().unwrap();
        state.asked.push(asked.clone());
        (state.next(&asked.what), state.shakes_hands)
    };
    if let Some(reply) = reply {
        return send(reply).await;
    }
    if shakes_hands && asked.what.ends_with("/subscriptions") {
        return subscriptions(&state, &method, &asked).await;
    }
    send(error(
        400,
        2500,
        &format!("Unknown path components: {}", asked.what),
    ))
    .await
}

fn read(method: &Method, uri: &Uri, headers: &HeaderMap, body: &Bytes) -> Asked {
    let path = uri.path().strip_prefix(&format!("/{VERSION}"));
    let form = match *method {
        Method::GET => uri.query().unwrap_or_default().as_bytes(),
        _ => body,
    };
    let authorization = headers.get("authorization");
    Asked {
        what: format!("{method} {}", path.unwrap_or("without the version")),
        uri: uri.to_string(),
        authorization: authorization
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned(),
        parameters: url::form_urlencoded::parse(form).into_owned().collect(),
        at: Instant::now(),
    }
}

impl Played {
    fn next(&mut self, what: &str) -> Option<Reply> {
        let replies = self.replies.get_mut(what)?;
        if replies.len() > 1 {
            replies.pop_front()
        } else {
            replies.front().cloned()
        }
    }
}

async fn send(reply: Reply) -> Response {
    let status = |status| StatusCode::from_u16(status).expect("a status");
    match reply {
        Reply::Json(code, body) => (status(code), body.to_string()).into_response(),
        Reply::With(code, headers, body) => {
            let mut response = (status(code), body.to_string()).into_response();
            for (name, value) in headers {
                let value = value.parse().expect("a header's value");
                response.headers_mut().insert(name, value);
            }
            response
        }
        Reply::Text(code, text) => (status(code), text).into_response(),
        Reply::Never => {
            tokio::time::sleep(Duration::from_mins(10)).await;
            StatusCode::OK.into_response()
        }
    }
}

async fn subscriptions(state: &Mutex<Played>, method: &Method, asked: &Asked) -> Response {
    if *method == Method::GET {
        let subscription = state.lock().unwrap().subscription.clone();
        let all: Vec<Value> = subscription.into_iter().collect();
        return send(ok(json!({ "data": all }))).await;
    }
    let of = |name: &str| asked.parameters[name].clone();
    if let Err(reason) = handshake(&of("callback_url"), &of("verify_token")).await {
        let message =
            format!("(#2200) Callback verification failed with the following errors: {reason}");
        return send(error(400, 2200, &message)).await;
    }
    let fields: Vec<Value> = of("fields")
        .split(',')
        .map(|name| json!({ "name": name, "version": VERSION }))
        .collect();
    state.lock().unwrap().subscription = Some(json!({
        "object": of("object"), "callback_url": of("callback_url"), "active": true, "fields": fields,
    }));
    send(ok(json!({ "success": true }))).await
}

async fn handshake(callback_url: &str, verify_token: &str) -> Result<(), String> {
    let url = format!(
        "{callback_url}?hub.mode=subscribe&hub.verify_token={verify_token}&hub.challenge=1158201444"
    );
    match http::get(&url).await {
        Ok(answer) if answer.status == 200 && answer.body == "1158201444" => Ok(()),
        Ok(answer) => Err(format!("HTTP Status Code = {}", answer.status)),
        Err(_) => Err("it cannot be reached".to_owned()),
    }
}
