//! The description of the API, made from the code: every handler and every type on the wire
//! describes itself; what they have in common (who asks, under which key, how long, what may go
//! wrong) is added here, by rule.
//!
//! What always holds: it describes every route of the table and no other; every code of an error
//! stands in it; it holds nothing that depends on the node.

use std::sync::LazyLock;

use axum::{body::Bytes, http::header, response::IntoResponse};
use serde_json::{Value, json};
use utoipa::{OpenApi as _, PartialSchema as _, openapi::Info};

use super::{
    api, error, events,
    request::Params,
    schema::{DecimalId, Time, Uuid7},
    wire::Nothing,
};

const ABOUT: &str = "Chat over a replicated log. Any node answers any request. A write takes \
effect at most once under its `Idempotency-Key`, and is answered when it is durable on a quorum; \
a read is linearizable unless asked otherwise. An unknown field or parameter is refused.";

/// The headers of answers, and what they say.
const HEADERS: [(&str, &str); 7] = [
    ("Holdfast-Index", "the log index that this node has applied; for session reads"),
    ("Holdfast-Time", "the node's clock, never below log time"),
    ("Holdfast-Age-Ms", "a stale read may lack what was acknowledged so many milliseconds ago"),
    ("Idempotency-Key", "the key of the write, also when the server made it"),
    ("Retry-After", "seconds to wait before the same is asked again"),
    ("WWW-Authenticate", "`Bearer`"),
    ("Allow", "the methods that the path takes"),
];

static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| document().to_string().into());

/// This description, as OpenAPI 3.1.
#[utoipa::path(
    get, path = "/v1/openapi.json", tag = "node", security(()),
    responses((status = 200, description = "the description", body = serde_json::Value)),
)]
pub(super) async fn serve(_: Params<Nothing>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT.clone())
}

/// The whole document.
pub(super) fn document() -> Value {
    let mut described = api::Described::openapi();
    described.merge(events::Frames::openapi());
    described.info = Info::builder()
        .title("Holdfast")
        .description(Some(ABOUT))
        .version(env!("CARGO_PKG_VERSION"))
        .build();
    let mut document = json!(described);
    let token = json!({"type": "http", "scheme": "bearer"});
    document["security"] = json!([{"token": []}]);
    let components = &mut document["components"];
    components["securitySchemes"] = json!({"token": token});
    components["headers"] = headers();
    components["parameters"] = parameters();
    components["responses"] = error::STATUSES.iter().map(refusal).collect();
    components["schemas"]["ErrorObject"]["properties"]["code"]["enum"] = error::codes().collect();
    let paths = document["paths"].as_object_mut().into_iter().flatten();
    for (path, item) in paths {
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            complete(operation, path, method);
        }
    }
    document
}

/// What a route has in common with others of its kind.
fn complete(operation: &mut Value, path: &str, method: &str) {
    let kind = Kind::of(operation, path, method);
    let mut parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
    parameters.push(refer("parameters", "Holdfast-Timeout-Ms"));
    if kind.is_write {
        parameters.push(refer("parameters", "Idempotency-Key"));
    }
    operation["parameters"] = parameters.into();
    let Some(responses) = operation["responses"].as_object_mut() else { return };
    for response in responses.values_mut() {
        response["headers"] = refer_headers(kind.headers());
    }
    // A handler may name further ones.
    let named: Vec<_> =
        responses.keys().filter(|status| status.as_str() >= "400").cloned().collect();
    for status in kind.refusals().map(|status| status.to_string()).chain(named) {
        let refusal = refer("responses", &status);
        responses.insert(status, refusal);
    }
}

fn refer(place: &str, name: &str) -> Value {
    json!({"$ref": format!("#/components/{place}/{name}")})
}

fn refer_headers(names: impl IntoIterator<Item = &'static str>) -> Value {
    names.into_iter().map(|name| (name.to_owned(), refer("headers", name))).collect()
}

/// What requests may say in their heads.
fn parameters() -> Value {
    let header = |name: &str, about: &str, schema: Value| json!({"name": name, "in": "header", "description": about, "schema": schema});
    let key = "a retry under the same key takes effect at most once; made by the server if missing";
    let wait = "how long the client waits: the answer comes before that, if only as 503 or 504";
    let milliseconds = json!({"type": "integer", "minimum": 0, "maximum": u64::MAX});
    json!({
        "Idempotency-Key": header("Idempotency-Key", key, json!(Uuid7::schema())),
        "Holdfast-Timeout-Ms": header("Holdfast-Timeout-Ms", wait, milliseconds),
    })
}

/// What answers say in their heads.
fn headers() -> Value {
    let schema = |name: &str| match name {
        "Holdfast-Index" => json!(DecimalId::schema()),
        "Holdfast-Time" => json!(Time::schema()),
        "Idempotency-Key" => json!(Uuid7::schema()),
        "Holdfast-Age-Ms" | "Retry-After" => json!({"type": "integer", "minimum": 0}),
        _ => json!({"type": "string"}),
    };
    let header = |(name, about): (&str, &str)| {
        (name.to_owned(), json!({"description": about, "schema": schema(name)}))
    };
    HEADERS.into_iter().map(header).collect()
}

/// The answer with an error of this status.
fn refusal((status, about): &(u16, &str)) -> (String, Value) {
    let more = match status {
        401 => Some("WWW-Authenticate"),
        405 => Some("Allow"),
        429 | 503 => Some("Retry-After"),
        _ => None,
    };
    let names = ["Holdfast-Index", "Holdfast-Time"].into_iter().chain(more);
    let content = json!({"application/json": {"schema": refer("schemas", "ErrorBody")}});
    let answer = json!({"description": about, "headers": refer_headers(names), "content": content});
    (status.to_string(), answer)
}

/// What a route is, as far as that decides what it takes and answers.
struct Kind {
    is_write: bool,
    is_open: bool,
    is_about_one: bool,
    has_query: bool,
    may_be_stale: bool,
}

impl Kind {
    fn of(operation: &Value, path: &str, method: &str) -> Self {
        let parameters = operation["parameters"].as_array();
        let has = |name: &str| parameters.is_some_and(|all| all.iter().any(|p| p["name"] == name));
        Self {
            is_write: method != "get",
            is_open: !operation["security"].is_null(),
            is_about_one: path.contains('{'),
            has_query: has("limit"),
            may_be_stale: has("consistency"),
        }
    }

    fn headers(&self) -> Vec<&'static str> {
        let mut names = vec!["Holdfast-Index", "Holdfast-Time"];
        names.extend(self.is_write.then_some("Idempotency-Key"));
        names.extend(self.may_be_stale.then_some("Holdfast-Age-Ms"));
        names
    }

    /// The errors to expect.
    fn refusals(&self) -> impl Iterator<Item = u16> {
        let asks = self.is_write || !self.is_open;
        [
            (400, true),
            (401, asks),
            (403, true),
            (404, self.is_write || self.is_about_one),
            (408, self.is_write),
            (409, self.is_write),
            (413, self.is_write),
            (422, self.is_write || self.has_query),
            (429, asks),
            (503, true),
            (504, self.is_write),
        ]
        .into_iter()
        .filter_map(|(status, expected)| expected.then_some(status))
    }
}
