//! What the nodes serve to a browser: the headers that hold the page to its word, and the tags by
//! which a browser asks whether its copy is still good.

use reqwest::{
    Client, Response, StatusCode,
    header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY,
        X_CONTENT_TYPE_OPTIONS,
    },
};
use tests::cluster::Cluster;

use crate::PROGRAMS;

fn header(response: &Response, name: impl AsRef<str>) -> String {
    let value = response.headers().get(name.as_ref());
    value.map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
}

async fn get(http: &Client, url: &str) -> Response {
    let response = http.get(url).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK, "{url}");
    assert_eq!(header(&response, X_CONTENT_TYPE_OPTIONS), "nosniff", "{url}");
    response
}

/// What the page's markup loads from its own node.
fn parts(page: &str) -> Vec<String> {
    let mut parts = Vec::new();
    for attribute in ["src=\"", "href=\""] {
        for rest in page.split(attribute).skip(1) {
            parts.push(rest.split('"').next().unwrap().to_owned());
        }
    }
    parts
}

#[tokio::test(flavor = "multi_thread")]
async fn every_node_serves_the_same_page_under_a_strict_policy() {
    let cluster = Cluster::start(PROGRAMS, 3).await;
    let http = cluster.http();
    let mut pages = Vec::new();
    for id in cluster.ids() {
        let response = get(&http, &format!("{}/", cluster.url(id))).await;
        assert_eq!(header(&response, CONTENT_TYPE), "text/html; charset=utf-8");
        assert_eq!(header(&response, REFERRER_POLICY), "no-referrer");
        assert_eq!(header(&response, "cross-origin-opener-policy"), "same-origin");
        check_policy(&header(&response, CONTENT_SECURITY_POLICY), &cluster);
        pages.push(response.text().await.unwrap());
    }
    assert!(pages.iter().all(|page| *page == pages[0]), "one page for all nodes");
    assert!(!parts(&pages[0]).is_empty(), "the page loads something");
    for inline in ["<script>", "<style", "onclick=", "onload=", "style=\""] {
        assert!(!pages[0].contains(inline), "the page holds {inline}");
    }
    for id in cluster.ids() {
        for part in parts(&pages[0]).iter().chain([&"/".to_owned()]) {
            assert!(part.starts_with('/') && !part.starts_with("//"), "{part} is of the node");
            check_tag(&http, &format!("{}{part}", cluster.url(id))).await;
        }
    }
}

/// Nothing but the page's own parts and the cluster's nodes, and no markup made from text.
fn check_policy(policy: &str, cluster: &Cluster) {
    let rules: Vec<(&str, Vec<&str>)> = policy
        .split(';')
        .map(|rule| {
            let mut words = rule.split_whitespace();
            (words.next().unwrap_or_default(), words.collect())
        })
        .collect();
    let rule = |name: &str| {
        let found = rules.iter().find(|(known, _)| *known == name);
        found.unwrap_or_else(|| panic!("no {name} in {policy}")).1.clone()
    };
    assert_eq!(rule("default-src"), ["'none'"]);
    assert_eq!(rule("script-src"), ["'self'"]);
    assert_eq!(rule("style-src"), ["'self'"]);
    assert_eq!(rule("base-uri"), ["'none'"]);
    assert_eq!(rule("frame-ancestors"), ["'none'"]);
    assert_eq!(rule("require-trusted-types-for"), ["'script'"]);
    assert!(!rule("trusted-types").contains(&"*"), "{policy}");
    for word in ["unsafe-inline", "unsafe-eval", "unsafe-hashes", "data: 'self'", "blob:"] {
        assert!(!policy.contains(word), "{word} in {policy}");
    }
    let mut wanted = vec!["'self'".to_owned()];
    for id in cluster.ids() {
        wanted.push(cluster.url(id).to_owned());
        wanted.push(cluster.url(id).replacen("https", "wss", 1));
    }
    let mut reached = rule("connect-src");
    reached.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(reached, wanted, "whom the page may speak with");
}

/// A browser asks each time, and gets the content again only when it has changed.
async fn check_tag(http: &Client, url: &str) {
    let response = get(http, url).await;
    assert_eq!(header(&response, CACHE_CONTROL), "no-cache", "{url}");
    let tag = header(&response, ETAG);
    assert!(tag.len() > 2 && tag.starts_with('"'), "{url}: {tag}");
    let again = http.get(url).header(IF_NONE_MATCH, &tag).send().await.unwrap();
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{url}");
    assert_eq!(header(&again, ETAG), tag, "{url}");
    let other = http.get(url).header(IF_NONE_MATCH, "\"another\"").send().await.unwrap();
    assert_eq!(other.status(), StatusCode::OK, "{url}");
}
