//! Every route is held to the same manners: what is wrong with a request is told by the same
//! object, status and headers everywhere, and only as the API's description says.

use reqwest::{Method, StatusCode, header::HeaderMap};
use serde_json::{Value, json};

use super::{
    super::{api::TABLE, limits, openapi},
    kit::{Answer, Node, OWNER_TOKEN, PASSWORD},
};

/// Routes that take no token. The WebSocket may get it later, in a frame.
const OPEN: [&str; 6] =
    ["/healthz", "/readyz", "/v1/openapi.json", "/v1/register", "/v1/login", "/v1/events"];
/// What proves that the process lives takes whatever a prober adds.
const PROBES: [&str; 2] = ["/healthz", "/readyz"];

/// A node with someone on it, and how its API is described.
struct World {
    node: Node,
    token: String,
    document: Value,
}

/// One route.
#[derive(Clone, Copy)]
struct Route {
    method: &'static str,
    path: &'static str,
}

impl Route {
    /// All of them.
    fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|&(method, path)| Self { method, path })
    }

    fn is_open(self) -> bool {
        OPEN.contains(&self.path)
    }

    fn is_write(self) -> bool {
        self.method != "get"
    }

    /// The path of something that is there.
    fn filled(self) -> String {
        let id = if self.path.contains("messages") { "5" } else { "1" };
        let path =
            self.path.replace("{name}", "general").replace("{user}", "bob").replace("{node}", "1");
        let query = if self.path.ends_with("/hash") { "?index=1" } else { "" };
        path.replace("{id}", id) + query
    }

    fn name(self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

impl World {
    async fn start() -> Self {
        let node = Node::start();
        let owner = json!({"name": "ann", "password": PASSWORD, "invite": OWNER_TOKEN});
        let owner = node.call(Method::POST, "/v1/register", None, Some(owner)).await;
        let token = owner.json["token"].as_str().unwrap().to_owned();
        node.register("bob").await;
        let made = node.post("/v1/channels", &token, json!({"name": "general"})).await;
        assert_eq!(made.status, StatusCode::CREATED);
        node.send(&token, "@bob", "hello").await;
        Self { node, token, document: openapi::document() }
    }

    fn operation(&self, route: Route) -> &Value {
        &self.document["paths"][route.path][route.method]
    }

    /// The schema of the route's body, if it takes one.
    fn body_schema(&self, route: Route) -> Option<&Value> {
        let body = &self.operation(route)["requestBody"]["content"]["application/json"];
        let reference = body["schema"]["$ref"].as_str()?;
        self.document.pointer(reference.strip_prefix('#').unwrap())
    }

    fn takes(&self, route: Route, parameter: &str) -> bool {
        let parameters = self.operation(route)["parameters"].as_array().unwrap();
        parameters.iter().any(|known| known["name"] == parameter)
    }

    /// A request to the route as it stands, with its token and a body that is in order.
    fn request(&self, route: Route, path: &str) -> reqwest::RequestBuilder {
        let method = Method::from_bytes(route.method.to_uppercase().as_bytes()).unwrap();
        let request = self.node.request(method, path).bearer_auth(&self.token);
        match self.body_schema(route) {
            Some(schema) => request.json(&body_of(schema)),
            None => request,
        }
    }

    /// Sends it and sees that it is refused so, in due form.
    async fn refused(
        &self,
        route: Route,
        request: reqwest::RequestBuilder,
        (status, code): (u16, &str),
    ) -> Answer {
        let answer = Answer::of(request).await;
        let what = format!("{}: {answer:?}", route.name());
        assert_eq!(answer.status.as_u16(), status, "{what}");
        assert_eq!(answer.code(), code, "{what}");
        in_due_form(&answer, &what);
        let described = &self.operation(route)["responses"];
        assert!(!described[status.to_string()].is_null(), "{what}: not described");
        answer
    }
}

/// What every refusal has in common.
fn in_due_form(answer: &Answer, what: &str) {
    let object = answer.json.as_object().unwrap();
    assert_eq!(object.keys().collect::<Vec<_>>(), ["error"], "{what}");
    let error = object["error"].as_object().unwrap();
    assert_eq!(error.keys().collect::<Vec<_>>(), ["code", "hint", "message"], "{what}");
    assert_eq!(answer.header("content-type"), "application/json", "{what}");
    assert_eq!(answer.header("cache-control"), "no-store", "{what}");
    assert!(answer.header("holdfast-index").parse::<u64>().is_ok(), "{what}");
    assert!(answer.header("holdfast-time").ends_with('Z'), "{what}");
    let has = |name: &str| answer.headers.contains_key(name);
    let status = answer.status.as_u16();
    assert_eq!(has("retry-after"), matches!(status, 429 | 503), "{what}");
    assert_eq!(has("www-authenticate"), status == 401, "{what}");
    assert_eq!(has("allow"), status == 405, "{what}");
}

/// A body that is in order, by the names of its fields.
fn body_of(schema: &Value) -> Value {
    let value = |field: &String| match field.as_str() {
        "name" => json!("carol"),
        "password" | "new_password" => json!(PASSWORD),
        // A number where it is a node's.
        "to" if schema["properties"]["to"]["minimum"] == 0 => json!(null),
        "to" => json!("@bob"),
        "user" => json!("bob"),
        "text" => json!("hi"),
        "upto" => json!(1),
        "node" => json!(2),
        "peer" => json!("b.example.org:7410"),
        "client" => json!("https://b.example.org:7411"),
        "disk" => json!(null),
        "erase_messages" | "private" => json!(false),
        "invite" | "reply_to" | "after_request" => json!(null),
        "topic" => json!(""),
        other => panic!("a value for the field {other}"),
    };
    let fields = schema["properties"].as_object().unwrap().keys();
    fields.map(|field| (field.clone(), value(field))).collect()
}

#[tokio::test]
async fn without_a_good_token_nothing_is_told() {
    let world = World::start().await;
    for route in Route::all().filter(|route| !route.is_open()) {
        let plain = |headers: HeaderMap| world.request(route, &route.filled()).headers(headers);
        let with = |token: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("authorization", token.parse().unwrap());
            plain(headers)
        };
        world.refused(route, with("Basic YTpi"), (401, "unauthenticated")).await;
        world.refused(route, with("Bearer AAAA"), (401, "session_ended")).await;
        let method = Method::from_bytes(route.method.to_uppercase().as_bytes()).unwrap();
        let bare = world.node.request(method, &route.filled());
        world.refused(route, bare, (401, "unauthenticated")).await;
    }
}

#[tokio::test]
async fn what_the_head_says_is_read_strictly() {
    let world = World::start().await;
    for route in Route::all().filter(|route| !PROBES.contains(&route.path)) {
        let request = |path: &str| world.request(route, path);
        let path = route.filled();
        let strange = format!("{path}{}colour=red", if path.contains('?') { '&' } else { '?' });
        world.refused(route, request(&strange), (400, "malformed")).await;
        for time in ["soon", "-1", "1.5", ""] {
            let request = request(&path).header("Holdfast-Timeout-Ms", time);
            world.refused(route, request, (400, "malformed")).await;
        }
        if route.is_write() {
            let request = request(&path).header("Idempotency-Key", "7");
            world.refused(route, request, (400, "request_id_malformed")).await;
        }
        if world.takes(route, "consistency") {
            for index in ["soon", "-1", ""] {
                let request = request(&path).header("Holdfast-Min-Index", index);
                world.refused(route, request, (400, "malformed")).await;
            }
            let often = format!("{path}?consistency=often");
            world.refused(route, request(&often), (400, "malformed")).await;
        }
        if world.takes(route, "limit") {
            for (limit, refusal) in [
                ("0", (422, "limit_invalid")),
                ("201", (422, "limit_invalid")),
                ("many", (400, "malformed")),
                ("-1", (400, "malformed")),
            ] {
                let request = request(&format!("{path}?limit={limit}"));
                world.refused(route, request, refusal).await;
            }
            let most = Answer::of(request(&format!("{path}?limit=200"))).await;
            assert_eq!(most.status, StatusCode::OK, "{}", route.name());
        }
    }
}

#[tokio::test]
async fn a_body_is_read_strictly() {
    let world = World::start().await;
    for route in Route::all() {
        let Some(schema) = world.body_schema(route) else { continue };
        let path = route.filled();
        let good = body_of(schema);
        let send = |body: String| world.request(route, &path).body(body);
        for body in ["", "{", "[]", "null", "7", "{} {}"] {
            world.refused(route, send(body.to_owned()), (400, "malformed")).await;
        }
        let mut bodies = vec![];
        for field in good.as_object().unwrap().keys() {
            let mut body = good.clone();
            body[field] = json!({"of": "another type"});
            bodies.push(body);
        }
        for field in schema["required"].as_array().into_iter().flatten() {
            let mut body = good.clone();
            body.as_object_mut().unwrap().remove(field.as_str().unwrap());
            bodies.push(body);
        }
        let mut stranger = good.clone();
        stranger["colour"] = "red".into();
        bodies.push(stranger);
        for body in bodies {
            world.refused(route, send(body.to_string()), (400, "malformed")).await;
        }
        let large =
            " ".repeat(limits::size(crate::config::Limits::DEFAULT.body_bytes)) + &good.to_string();
        world.refused(route, send(large), (413, "too_large")).await;
    }
}

#[tokio::test]
async fn what_is_out_of_bounds_is_told_by_its_code() {
    let world = World::start().await;
    let cases = [
        ("post", "/v1/register", "name", json!("no name"), "name_invalid"),
        ("post", "/v1/register", "password", json!("short"), "password_invalid"),
        ("post", "/v1/channels", "name", json!(""), "name_invalid"),
        ("post", "/v1/channels", "topic", json!("x".repeat(1025)), "topic_invalid"),
        ("post", "/v1/messages", "to", json!("@no name"), "name_invalid"),
        ("post", "/v1/messages", "to", json!("@ann"), "to_self"),
        ("post", "/v1/messages", "text", json!(""), "text_empty"),
        ("post", "/v1/messages", "text", json!("\u{7}"), "text_control"),
        ("post", "/v1/messages", "text", json!("x".repeat(16385)), "text_too_long"),
        ("post", "/v1/messages", "reply_to", json!("1"), "reply_unknown"),
        ("put", "/v1/me/password", "new_password", json!("short"), "password_invalid"),
    ];
    for (method, path, field, value, code) in cases {
        let route = Route { method, path };
        let mut body = body_of(world.body_schema(route).unwrap());
        body[field] = value;
        let request = world.request(route, path).json(&body);
        world.refused(route, request, (422, code)).await;
    }
}

#[tokio::test]
async fn other_methods_and_paths_are_refused_in_the_same_form() {
    let world = World::start().await;
    for route in Route::all() {
        let mut known: Vec<_> = Route::all()
            .filter(|other| other.path == route.path)
            .map(|other| other.method.to_uppercase())
            .collect();
        if known.iter().any(|method| method == "GET") {
            known.push("HEAD".to_owned());
        }
        known.sort();
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"] {
            if known.iter().any(|known| known == method) {
                continue;
            }
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let answer = Answer::of(world.node.request(method, &route.filled())).await;
            let what = format!("{}: {answer:?}", route.name());
            assert_eq!((answer.status.as_u16(), answer.code()), (405, "method_not_allowed"));
            in_due_form(&answer, &what);
            let mut allowed: Vec<_> = answer.header("allow").split(',').map(str::trim).collect();
            allowed.sort_unstable();
            assert_eq!(allowed, known, "{what}");
        }
        let beyond = format!("{}/beyond/it", route.filled().split('?').next().unwrap());
        let answer = Answer::of(world.node.request(Method::GET, &beyond)).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (404, "not_found"), "{beyond}");
        in_due_form(&answer, &beyond);
    }
}

#[tokio::test]
async fn without_a_leader_nothing_is_done_and_that_is_told_in_time() {
    let world = World::start().await;
    world.node.held.depose(true);
    let alone = ["/healthz", "/v1/openapi.json", "/v1/cluster", "/v1/cluster/hash", "/metrics"];
    for route in Route::all().filter(|route| route.path != "/v1/events") {
        let request = |path: &str| world.request(route, path).header("Holdfast-Timeout-Ms", "50");
        if alone.contains(&route.path) {
            let answer = Answer::of(request(&route.filled())).await;
            assert_eq!(answer.status, StatusCode::OK, "{}: it needs no leader", route.name());
        } else if route.path != "/readyz" {
            // Readiness goes by the leader that is known, which the kit does not take away.
            let begun = std::time::Instant::now();
            world.refused(route, request(&route.filled()), (503, "unavailable")).await;
            assert!(begun.elapsed() < limits::REQUEST_TIMEOUT, "{}", route.name());
        }
        if world.takes(route, "consistency") {
            let stale = format!("{}?consistency=stale", route.filled());
            let answer = Answer::of(request(&stale)).await;
            assert_eq!(answer.status, StatusCode::OK, "{}: {answer:?}", route.name());
            answer.header("holdfast-age-ms").parse::<u64>().unwrap();
        }
    }
}
