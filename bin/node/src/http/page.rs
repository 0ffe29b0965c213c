//! The web page: `/` and what it loads, embedded in the program.
//!
//! What always holds:
//! - What is served is a fixed table, made when the program was built: no path reaches a file.
//! - The page runs no script and no style but its own, writes no markup from text, and speaks with
//!   the nodes of this cluster alone: the headers make the browser hold it to that.
//! - A browser asks every time whether what it holds is still good, so that page and node fit.

use axum::{
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};

use super::{Api, error::Refusal};

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const PICTURE: &str = "image/svg+xml";
const MANIFEST: &str = "application/manifest+json";

/// The page itself; [`NODES`] in it stands for the cluster's client URLs.
const INDEX: &str = include_str!("../../assets/index.html");
const NODES: &str = "{{nodes}}";
/// Bytes of a hash that tell one content from another.
const TAG_BYTES: usize = 16;

macro_rules! assets {
    ($($name:literal: $kind:expr,)*) => {
        &[$(($name, $kind, include_str!(concat!("../../assets/", $name)))),*]
    };
}

/// Name below `/assets/`, content type, content.
pub(super) const ASSETS: &[(&str, &str, &str)] = assets! {
    "icon.svg": PICTURE,
    "manifest.webmanifest": MANIFEST,
    "style.css": STYLE,
    "api.js": SCRIPT,
    "app.js": SCRIPT,
    "dom.js": SCRIPT,
    "main.js": SCRIPT,
    "marks.js": SCRIPT,
    "nodes.js": SCRIPT,
    "pulse.js": SCRIPT,
    "route.js": SCRIPT,
    "socket.js": SCRIPT,
    "store.js": SCRIPT,
    "text.js": SCRIPT,
    "uuid7.js": SCRIPT,
    "view/account.js": SCRIPT,
    "view/avatar.js": SCRIPT,
    "view/banner.js": SCRIPT,
    "view/channels.js": SCRIPT,
    "view/cluster.js": SCRIPT,
    "view/composer.js": SCRIPT,
    "view/conversation.js": SCRIPT,
    "view/dialogs.js": SCRIPT,
    "view/finder.js": SCRIPT,
    "view/message.js": SCRIPT,
    "view/page.js": SCRIPT,
    "view/sidebar.js": SCRIPT,
    "view/sign.js": SCRIPT,
    "view/toasts.js": SCRIPT,
};

/// What the page never asks of the browser.
const PERMISSIONS: &str = "camera=(), display-capture=(), geolocation=(), microphone=(), \
                           payment=(), usb=()";

/// `GET /`.
pub(super) async fn index(State(api): State<Api>, headers: HeaderMap) -> Response {
    let clients = api.service.clients();
    let page = INDEX.replace(NODES, &escape(&clients.join(" ")));
    let mut response = answer(&headers, HTML, page.into());
    let marks: [(HeaderName, &str); 4] = [
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), PERMISSIONS),
        (header::CONTENT_SECURITY_POLICY, &policy(&clients)),
    ];
    for (name, value) in marks {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// `GET /assets/{*name}`.
pub(super) async fn asset(
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let found = ASSETS.iter().find(|(known, ..)| *known == name);
    let (_, kind, content) = found.ok_or_else(|| {
        Refusal::not_found("the page has no such part", "load the page again at `/`")
    })?;
    let mut response = answer(&headers, kind, Bytes::from_static(content.as_bytes()));
    // A picture opened by itself is a document: it runs nothing either.
    response.headers_mut().insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; sandbox"),
    );
    Ok(response)
}

fn answer(asked: &HeaderMap, kind: &'static str, content: Bytes) -> Response {
    let tag = tag(&content);
    let is_held = asked
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|held| held.to_str().ok())
        .flat_map(|held| held.split(','))
        .any(|held| held.trim().trim_start_matches("W/") == tag || held.trim() == "*");
    let mut response = if is_held {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(header::CONTENT_TYPE, HeaderValue::from_static(kind))], content).into_response()
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, tag);
    }
    response
}

fn tag(content: &[u8]) -> String {
    let hash: [u8; 32] = Sha256::digest(content).into();
    format!("\"{}\"", URL_SAFE_NO_PAD.encode(hash.split_at(TAG_BYTES).0))
}

/// What the page may load and whom it may speak with: this node, and the cluster's others.
fn policy(clients: &[String]) -> String {
    let mut connect = String::from("'self'");
    for url in clients {
        if let Some(socket) = url.strip_prefix("http") {
            connect.push_str(&format!(" {url} ws{socket}"));
        }
    }
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
         font-src 'self'; manifest-src 'self'; connect-src {connect}; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
         trusted-types 'none'"
    )
}

/// A text for an attribute of the page.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;")
}
