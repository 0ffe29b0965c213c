//! The description of the API and the API are one.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::{
    super::{
        api, error, openapi,
        parsers::{PARSERS, Place},
    },
    kit::Node,
};

/// Every object of the document, with where it stands.
fn walk<'a>(value: &'a Value, at: &str, visit: &mut impl FnMut(&str, &'a Value)) {
    visit(at, value);
    let children: Vec<(String, &Value)> = match value {
        Value::Object(object) => object.iter().map(|(key, value)| (key.clone(), value)).collect(),
        Value::Array(items) => {
            items.iter().enumerate().map(|(place, value)| (place.to_string(), value)).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    };
    for (key, child) in children {
        walk(child, &format!("{at}/{key}"), visit);
    }
}

/// Method, path and description of every operation.
fn operations(document: &Value) -> Vec<(&str, &str, &Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    paths
        .flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().iter();
            methods.map(move |(method, operation)| (method.as_str(), path.as_str(), operation))
        })
        .collect()
}

#[test]
fn the_document_has_the_routes_and_no_other() {
    let document = openapi::document();
    let described: BTreeSet<_> =
        operations(&document).into_iter().map(|(method, path, _)| (method, path)).collect();
    let served: BTreeSet<_> = api::TABLE.iter().copied().collect();
    assert_eq!(described, served);
    assert_eq!(served.len(), api::TABLE.len(), "no route stands there twice");
}

#[test]
fn every_body_and_every_frame_has_a_parser_on_the_list() {
    let document = openapi::document();
    let mut described = BTreeSet::from(["Hello", "ClientFrame"]);
    for (_, _, operation) in operations(&document) {
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"]["$ref"];
        described.extend(schema.as_str().and_then(|reference| reference.rsplit('/').next()));
    }
    // That of a frame that is no good otherwise is told to nobody.
    let is_told = |name: &&str| *name != "Named";
    let of_json = PARSERS.iter().filter(|one| matches!(one.place, Place::Body | Place::Frame));
    assert_eq!(of_json.map(|one| one.name).filter(is_told).collect::<BTreeSet<_>>(), described);
}

#[test]
fn every_reference_leads_somewhere() {
    let document = openapi::document();
    let mut referred = BTreeSet::new();
    walk(&document, "", &mut |at, value| {
        if let Some(reference) = value.get("$ref").and_then(Value::as_str) {
            let target = document.pointer(reference.strip_prefix('#').unwrap());
            assert!(target.is_some(), "{at} refers to {reference}");
            referred.insert(reference.to_owned());
        }
    });
    for kind in ["parameters", "headers"] {
        for name in document["components"][kind].as_object().unwrap().keys() {
            let reference = format!("#/components/{kind}/{name}");
            assert!(referred.contains(&reference), "{reference} is used");
        }
    }
    for frame in ["Hello", "ClientFrame", "ServerFrame"] {
        assert!(document["components"]["schemas"][frame].is_object(), "{frame}");
    }
}

#[test]
fn every_operation_says_all_there_is_to_know() {
    let document = openapi::document();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    let mut ids = BTreeMap::new();
    for (method, path, operation) in operations(&document) {
        let at = format!("{method} {path}");
        let id = operation["operationId"].as_str().unwrap();
        assert_eq!(ids.insert(id, at.clone()), None, "{at}: the id {id} is its own");
        assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{at}");
        assert!(operation["tags"][0].is_string(), "{at}");
        let parameters: Vec<_> = operation["parameters"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|parameter| parameter["in"] == "path")
            .map(|parameter| format!("{{{}}}", parameter["name"].as_str().unwrap()))
            .collect();
        let in_path: Vec<_> = path.split('/').filter(|part| part.starts_with('{')).collect();
        assert_eq!(parameters, in_path, "{at}");
        let responses = operation["responses"].as_object().unwrap();
        assert!(responses.keys().any(|status| status.as_str() < "400"), "{at}");
        for (status, response) in responses {
            let mut response = response;
            if let Some(reference) = response["$ref"].as_str() {
                response = document.pointer(reference.strip_prefix('#').unwrap()).unwrap();
            }
            assert!(response["description"].is_string(), "{at} {status}");
            let has_content = response["content"].is_object();
            assert_eq!(has_content, !matches!(status.as_str(), "101" | "204"), "{at} {status}");
            for header in ["Holdfast-Index", "Holdfast-Time"] {
                assert!(response["headers"][header].is_object(), "{at} {status}");
            }
        }
        for status in ["400", "403", "503"] {
            assert!(responses.contains_key(status), "{at} {status}");
        }
        let is_write = method != "get";
        assert_eq!(responses.contains_key("504"), is_write, "{at}");
        let open = ["/healthz", "/readyz", "/v1/openapi.json", "/v1/register", "/v1/login"];
        let is_open = open.contains(&path);
        assert_eq!(operation["security"].is_null(), !is_open && path != "/v1/events", "{at}");
    }
}

#[test]
fn bounds_are_those_that_are_enforced() {
    let document = openapi::document();
    let schemas = &document["components"]["schemas"];
    assert_eq!(schemas["Name"]["maxLength"], chat::limits::NAME_BYTES_MAX);
    assert_eq!(schemas["Text"]["maxLength"], chat::limits::TEXT_BYTES_MAX);
    assert_eq!(schemas["Password"]["minLength"], chat::limits::PASSWORD_CHARS_MIN);
    assert_eq!(schemas["Limit"]["maximum"], chat::limits::PAGE_MAX);
    assert_eq!(schemas["Limit"]["default"], chat::limits::PAGE_DEFAULT);
    for body in ["Register", "Login", "CreateChannel", "Invite", "SendMessage", "Mark"] {
        assert_eq!(schemas[body]["additionalProperties"], false, "{body}");
    }
}

#[test]
fn every_code_is_described_and_means_one_thing() {
    let document = openapi::document();
    let described = &document["components"]["schemas"]["ErrorObject"]["properties"]["code"]["enum"];
    let described: Vec<_> =
        described.as_array().unwrap().iter().map(|code| code.as_str().unwrap()).collect();
    let rejections: Vec<_> = error::rejections().collect();
    assert!(rejections.len() > 30, "all of them are found: {rejections:?}");
    let mut meanings = BTreeSet::new();
    for code in rejections.iter().map(|rejection| rejection.code()) {
        assert!(meanings.insert(code), "{code} stands for one rejection");
        assert!(described.contains(&code), "{code}");
    }
    for (code, status) in error::OWN_CODES {
        // A fault of this program, which no client can cause, looks like a malformed request.
        assert!(*code == "malformed" || meanings.insert(code), "{code} stands for one refusal");
        assert!(described.contains(code), "{code}");
        assert!(error::STATUSES.iter().any(|(known, _)| known == status), "{code}");
    }
    assert_eq!(described.len(), meanings.len());
    for rejection in rejections {
        let refusal = error::Refusal::from(rejection);
        let status = refusal.status.as_u16();
        assert!(error::STATUSES.iter().any(|(known, _)| *known == status), "{rejection}");
    }
}

#[tokio::test]
async fn the_document_is_served_to_everyone() {
    let node = Node::start();
    let answer = node.call(Method::GET, "/v1/openapi.json", None, None).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.json, openapi::document());
}
