//! What bin/node reads: its configuration, the start of a cluster, and whatever clients send.

use std::path::Path;

use chat::{AccountId, Body, Command, RequestId, SessionId};
use election::NodeId;
use node::{
    config::Config,
    genesis::{ClusterId, Genesis, GenesisNode},
    http::parsers::{PARSERS, Place},
};
use sha2::{Digest, Sha256};

use super::Target;

/// What an operator writes.
pub(super) const TOML: Target = Target {
    name: "node_toml",
    run: |bytes| {
        let Ok(text) = str::from_utf8(bytes) else { return false };
        let config = Config::parse(Path::new("node.toml"), text);
        if let Err(error) = &config {
            assert!(!error.to_string().is_empty(), "whatever is wrong can be said");
        }
        config.is_ok()
    },
    seeds: || vec![include_bytes!("../../../bin/node/node.example.toml").to_vec()],
    allocation_max: |len| 256 * len + 65_536,
    rounds: 2_000,
};

/// What `node init` writes, and an operator may have touched.
pub(super) const GENESIS: Target = Target {
    name: "genesis",
    run: |bytes| {
        let is_taken = judge_genesis(bytes);
        let Some((head, payload)) = bytes.split_at_checked(48) else { return is_taken };
        let Ok(length) = u32::try_from(payload.len()) else { return is_taken };
        let digest: [u8; 32] = Sha256::digest(payload).into();
        // With length and checksum put right.
        judge_genesis(&[&head[..12], &length.to_le_bytes(), &digest, payload].concat()) || is_taken
    },
    seeds: || [1, 3].map(|voters| genesis(voters).encode()).to_vec(),
    allocation_max: |len| 256 * len + 65_536,
    rounds: 5_000,
};

fn judge_genesis(bytes: &[u8]) -> bool {
    let Ok(genesis) = Genesis::decode(bytes) else { return false };
    assert_eq!(Genesis::decode(&genesis.encode()).as_ref(), Ok(&genesis));
    assert_eq!(genesis.config().check(), Ok(()));
    true
}

fn genesis(voters: u64) -> Genesis {
    let node = |number| GenesisNode {
        node: NodeId(number),
        peer: format!("10.0.0.{number}:7410"),
        client: format!("https://10.0.0.{number}:7411"),
    };
    Genesis {
        cluster: ClusterId(77),
        cluster_name: "office".to_owned(),
        node: NodeId(1),
        joined: false,
        nodes: (1..=voters).map(node).collect(),
        owner_token_hash: [4; 32],
    }
}

/// Bodies and frames.
pub(super) const CLIENT_JSON: Target = Target {
    name: "client_json",
    run: |bytes| client(&[Place::Body, Place::Frame], bytes),
    seeds: json_seeds,
    allocation_max: |len| 64 * len + 65_536,
    rounds: 20_000,
};

fn json_seeds() -> Vec<Vec<u8>> {
    let [key, other] = [7, 8].map(|random| RequestId::new(0x0190_0000_0000, random));
    let send = r##""to":"#ops","text":"gr\u00fc\u{df}e","reply_to":"9""##;
    [
        r#"{"name":"alice","password":"correct horse","invite":null}"#,
        r#"{"password":"correct horse","erase_messages":true}"#,
        r#"{"password":"correct horse","new_password":"battery staple"}"#,
        r#"{"name":"ops","private":true,"topic":"pages"}"#,
        r#"{"user":"@bob"}"#,
        r#"{"text":"\ud83d\ude00"}"#,
        r#"{"upto":9}"#,
        &format!(r#"{{{send},"after_request":"{other}"}}"#),
        &format!(r#"{{"type":"send","request_id":"{key}",{send},"after_request":null}}"#),
        r#"{"type":"hello","token":"dG9rZW4","after":"18446744073709551615","cluster":true}"#,
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}

/// Paths and queries: what pages a reader asks for, and from where on.
pub(super) const CLIENT_QUERIES: Target = Target {
    name: "client_queries",
    run: |bytes| client(&[Place::Path, Place::Query], bytes),
    seeds: || {
        [
            "match=a%2Ab%5Ba-c%5D&after=al&limit=50&consistency=stale",
            "before=9&limit=200",
            "around=18446744073709551615",
            "after=9&cluster=true",
            "index=128",
            "18446744073709551615",
            "Alice-2",
        ]
        .map(|text| text.as_bytes().to_vec())
        .to_vec()
    },
    allocation_max: |len| 64 * len + 65_536,
    rounds: 20_000,
};

/// Tokens, cookies, keys, hosts and origins.
pub(super) const CLIENT_HEADERS: Target = Target {
    name: "client_headers",
    run: |bytes| client(&[Place::Header], bytes),
    seeds: || {
        let key = RequestId::new(0x0190_0000_0000, 7).to_string();
        [
            "Bearer dG9rZW4gdG9rZW4gdG9rZW4gdG9rZW4gdG9rZW4",
            "theme=dark; __Host-holdfast=dG9rZW4; lang=de",
            "node-1.example:7411",
            "[2001:db8::1]:7411",
            "https://node-1.example:7411",
            "18446744073709551615",
            &key,
        ]
        .map(|text| text.as_bytes().to_vec())
        .to_vec()
    },
    allocation_max: |len| 64 * len + 65_536,
    rounds: 20_000,
};

/// The bytes stand in these places. A refusal says why, in not many more words than were sent; what is
/// taken into the log can be read there by every node.
fn client(places: &[Place], bytes: &[u8]) -> bool {
    let mut is_taken = false;
    for parser in PARSERS.iter().filter(|parser| places.contains(&parser.place)) {
        match parser.parse(bytes) {
            Err(why) => {
                let why_bytes_max = 8 * bytes.len() + 1024;
                assert!(!why.is_empty() && why.len() <= why_bytes_max, "{}: {why}", parser.name);
            }
            Ok(None) => is_taken = true,
            Ok(Some(action)) => {
                is_taken = true;
                let body = Body::Act { account: AccountId(5), session: SessionId(200), action };
                let command = Command::new(RequestId::new(0x0190_0000_0000, 7), body);
                let read = Command::decode(&command.encode());
                assert_eq!(read.as_ref(), Ok(&command), "{}", parser.name);
            }
        }
    }
    is_taken
}
