//! Each complaint names file, line, key and what is allowed; the example file says the truth.

use super::*;

/// The shortest file that a node can run.
const MINIMAL: &str = r#"[node]
id = 1
data_dir = "data"
[cluster]
name = "team"
[[cluster.nodes]]
id = 1
peer = "chat1.example.org:7410"
client = "https://chat1.example.org:7411"
[tls]
ca = "ca.pem"
cert = "node.pem"
key = "node.key"
"#;
const EXAMPLE: &str = include_str!("../../node.example.toml");

#[test]
fn the_example_shows_the_defaults() {
    let example = parse(EXAMPLE).unwrap();
    let minimal = parse(MINIMAL).unwrap();
    assert_eq!(example.cluster.nodes.len(), 3);
    let cluster = Cluster { name: minimal.cluster.name.clone(), ..example.cluster.clone() };
    assert_eq!(example, Config { cluster, ..minimal });
}

#[test]
fn the_example_tells_unit_default_and_bounds_of_every_number() {
    for bounded in every_bounded() {
        let (section, key) = bounded.key.split_once('.').unwrap();
        let (_, body) = EXAMPLE.split_once(&format!("\n[{section}]\n")).unwrap();
        let body = body.split("\n[").next().unwrap();
        let Bounded { unit, default, min, max, .. } = bounded;
        let told = format!("# {unit}, default {default}, {min} to {max}\n{key} = {default}\n");
        assert!(format!("{body}\n").contains(&told), "[{section}] should say:\n{told}");
    }
}

/// Each key can be told apart from a misspelling of it, so the example misses none and has none too
/// many.
#[test]
fn the_example_has_every_key() {
    let probe = |section: &str| {
        let text = format!("{}\n[{section}]\nnonsense = 1\n", without_section(section));
        parse(&text).unwrap_err().to_string()
    };
    for section in ["node", "listen", "tls", "timing", "storage", "limits", "metrics", "log"] {
        let message = probe(section);
        let (_, allowed) = message.split_once("; allowed: ").unwrap();
        let (_, body) = EXAMPLE.split_once(&format!("[{section}]\n")).unwrap();
        let body = body.split("\n[").next().unwrap();
        for key in allowed.split([',', ' ', '`']).filter(|key| !key.is_empty() && *key != "or") {
            assert!(body.contains(&format!("\n{key} = ")), "[{section}] lacks {key}: {message}");
        }
    }
}

#[test]
fn paths_are_relative_to_the_file() {
    let config = Config::parse(Path::new("/etc/holdfast/node.toml"), MINIMAL).unwrap();
    assert_eq!(config.node.data_dir, Path::new("/etc/holdfast/data"));
    assert_eq!(config.tls.key, Path::new("/etc/holdfast/node.key"));
    assert_eq!(config.own().client.to_string(), "https://chat1.example.org:7411");
}

#[test]
fn unknown_keys_are_named_with_their_line() {
    let text = format!("{MINIMAL}[timing]\nheartbeet_ms = 50\n");
    assert_eq!(
        message(&text),
        "node.toml:15: timing.heartbeet_ms: unknown key `heartbeet_ms`; allowed: `heartbeat_ms`, \
         `election_ms`, `request_ms`, `drain_ms`, `handshake_ms`, `head_ms`, `body_ms`, \
         `hello_ms`"
    );
    let text = format!("{MINIMAL}[timings]\n");
    assert!(message(&text).starts_with("node.toml:14: timings: unknown key `timings`; allowed: "));
}

#[test]
fn broken_syntax_wrong_types_and_missing_keys_are_named_with_their_line() {
    assert!(message(&format!("{MINIMAL}nonsense\n")).starts_with("node.toml:14: tls: "));
    assert_eq!(
        message(&MINIMAL.replace("id = 1\ndata", "id = \"one\"\ndata")),
        "node.toml:2: node.id: invalid type: string \"one\"; allowed: u64"
    );
    assert_eq!(
        message(&MINIMAL.replace("data_dir = \"data\"\n", "")),
        "node.toml:1: node: missing key `data_dir`"
    );
    assert_eq!(
        message(&format!("{MINIMAL}client = 7\n")),
        "node.toml:14: tls.client: does not fit; allowed: \"cluster\", \"off\" or { cert = FILE, \
         key = FILE }"
    );
}

#[test]
fn every_number_is_held_to_its_bounds() {
    for bounded in every_bounded() {
        let (section, key) = bounded.key.split_once('.').unwrap();
        let text = |value: u64| format!("{MINIMAL}[{section}]\n{key} = {value}\n");
        let mut wrong = vec![bounded.max + 1];
        wrong.extend(bounded.min.checked_sub(1));
        for value in wrong {
            let message = message(&text(value));
            let place = format!("node.toml:15: {}: {value} is out of bounds; ", bounded.key);
            let allowed = format!("allowed: {} to {}", bounded.min, bounded.max);
            assert!(message.starts_with(&(place + &allowed)), "{message}");
        }
        for value in [bounded.min, bounded.max] {
            // Only what numbers owe to each other may be complained about.
            if let Err(error) = parse(&text(value)) {
                assert!(!error.to_string().contains("out of bounds"), "{error}");
            }
        }
    }
}

#[test]
fn an_election_leaves_room_for_heartbeats() {
    let text = |timing: &str| format!("{MINIMAL}[timing]\n{timing}\n");
    let wrong = message(&text("heartbeat_ms = 50\nelection_ms = 99"));
    assert!(wrong.starts_with("node.toml:16: timing.election_ms: "), "{wrong}");
    let wrong = message(&text("heartbeat_ms = 76"));
    assert!(wrong.starts_with("node.toml:15: timing.heartbeat_ms: "), "{wrong}");
    assert_eq!(parse(&text("heartbeat_ms = 75")).unwrap().timing.election_ms, 150);
}

#[test]
fn what_is_out_of_bounds_is_refused() {
    let cases = [
        (
            "id = 1\ndata",
            "id = 0\ndata",
            "node.toml:2: node.id: 0 is out of bounds; allowed: 1 to ",
        ),
        ("id = 1\ndata", "id = 2\ndata", "node.toml:2: node.id: node 2 is not among "),
        ("\"team\"", "\"Team\"", "node.toml:5: cluster.name: \"Team\" is no cluster name; "),
        (":7410\"", ":0\"", "node.toml:8: cluster.nodes.peer: \"chat1.example.org:0\" is no addr"),
        ("org:7410", "org", "node.toml:8: cluster.nodes.peer: \"chat1.example.org\" is no address"),
        ("https", "http", "node.toml:9: cluster.nodes.client: http://chat1.example.org:7411 does"),
        ("https", "ftp", "node.toml:9: cluster.nodes.client: \"ftp://chat1.example.org:7411\" is "),
        ("7411", "7411/x", "node.toml:9: cluster.nodes.client: \"https://chat1.example.org:7411/x"),
        ("\"node.key\"", "\"\"", "node.toml:13: tls.key: is empty; allowed: a path"),
    ];
    for (from, to, wanted) in cases {
        let message = message(&MINIMAL.replacen(from, to, 1));
        assert!(message.starts_with(wanted), "{message}\nshould start with\n{wanted}");
    }
    let cases = [
        ("[listen]\npeer = \"chat1:7410\"", "node.toml:15: listen.peer: \"chat1:7410\" is no addr"),
        (
            "[listen]\nclient = \"0.0.0.0:0\"",
            "node.toml:15: listen.client: \"0.0.0.0:0\" is no add",
        ),
        ("[log]\nlevel = \"loud\"", "node.toml:15: log.level: \"loud\" is unknown; allowed: \"err"),
        (
            "[log]\nformat = \"xml\"",
            "node.toml:15: log.format: \"xml\" is unknown; allowed: \"text",
        ),
        ("[storage]\nsegment_bytes = 1048577", "node.toml:15: storage.segment_bytes: 1048577 is n"),
        (
            "client = \"none\"",
            "node.toml:14: tls.client: \"none\" is unknown; allowed: \"cluster\"",
        ),
        (
            "client = { cert = \"a\" }",
            "node.toml:14: tls.client: does not fit; allowed: \"cluster\"",
        ),
    ];
    for (more, wanted) in cases {
        let message = message(&format!("{MINIMAL}{more}\n"));
        assert!(message.starts_with(wanted), "{message}\nshould start with\n{wanted}");
    }
}

#[test]
fn nodes_are_listed_once() {
    let again = "[[cluster.nodes]]\nid = 1\npeer = \"b:1\"\nclient = \"https://b\"\n[tls]";
    let wrong = message(&MINIMAL.replace("[tls]", again));
    assert!(wrong.starts_with("node.toml:11: cluster.nodes.id: node 1 is listed twice"), "{wrong}");
    let same = again.replace("id = 1", "id = 2").replace("b:1", "chat1.example.org:7410");
    let wrong = message(&MINIMAL.replace("[tls]", &same));
    assert!(wrong.starts_with("node.toml:12: cluster.nodes.peer: chat1.example.org"), "{wrong}");
}

#[test]
fn the_list_of_nodes_is_bounded() {
    let nodes = |count: usize| {
        let one = |id: usize| {
            format!(
                "[[cluster.nodes]]\nid = {id}\npeer = \"h{id}:1\"\nclient = \"https://h{id}\"\n"
            )
        };
        let (head, tail) = MINIMAL.split_once("[tls]").unwrap();
        let more: String = (2..=count).map(one).collect();
        parse(&format!("{head}{more}[tls]{tail}"))
    };
    assert_eq!(nodes(CLUSTER_NODES_MAX).unwrap().cluster.nodes.len(), CLUSTER_NODES_MAX);
    let wrong = nodes(CLUSTER_NODES_MAX + 1).unwrap_err().to_string();
    assert!(wrong.ends_with("17 nodes are listed; allowed: 1 to 16"), "{wrong}");
}

#[test]
fn a_host_is_as_long_as_the_log_can_keep() {
    let label = "a".repeat(59);
    let longest = format!("{label}.{label}.{label}.{}", "a".repeat(59));
    assert_eq!(longest.len(), 239);
    let at = HostPort::parse_or_port(&longest, 65_535).unwrap();
    assert!(ClientUrl { https: true, at }.to_string().len() <= replication::ADDRESS_BYTES_MAX);
    assert_eq!(HostPort::parse_or_port(&format!("{longest}a"), 65_535), None);
    assert_eq!(HostPort::parse_or_port(&"a".repeat(64), 65_535), None);
}

#[test]
fn plain_http_is_for_loopback_only() {
    let off = MINIMAL.replace("https://chat1.example.org", "http://127.0.0.1");
    let off = format!("{off}client = \"off\"\n");
    let wrong = message(&off);
    assert!(
        wrong.starts_with("node.toml:14: tls.client: clients of 0.0.0.0:7411 would"),
        "{wrong}"
    );
    let config = parse(&format!("{off}[listen]\nclient = \"127.0.0.1:7411\"\n")).unwrap();
    assert_eq!(config.tls.client, TlsClient::Off);
}

#[test]
fn missing_files_are_named_with_their_line() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("node.toml");
    let wrong = || Config::load(&file).unwrap_err().to_string();
    assert!(wrong().contains("node.toml: cannot read it: "), "{}", wrong());
    fs::write(&file, MINIMAL).unwrap();
    for (line, key, missing) in
        [(11, "tls.ca", "ca.pem"), (12, "tls.cert", "node.pem"), (13, "tls.key", "node.key")]
    {
        let place = format!("{}:{line}: {key}: there is no file ", file.display());
        assert!(wrong().starts_with(&place), "{}", wrong());
        fs::write(dir.path().join(missing), "").unwrap();
    }
    assert!(wrong().contains("node.toml:3: node.data_dir: there is no directory "), "{}", wrong());
    fs::create_dir(dir.path().join("data")).unwrap();
    assert_eq!(Config::load(&file).unwrap().file, file);
}

#[test]
fn a_file_too_long_is_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("node.toml");
    let padding = |bytes: u64| {
        let rest = usize::try_from(bytes).unwrap() - MINIMAL.len();
        format!("{MINIMAL}{}", "#".repeat(rest))
    };
    fs::write(&file, padding(FILE_BYTES_MAX + 1)).unwrap();
    assert!(Config::load(&file).unwrap_err().to_string().contains("bytes are too many"));
    fs::write(&file, padding(FILE_BYTES_MAX)).unwrap();
    assert!(Config::load(&file).unwrap_err().to_string().contains("there is no file"));
}

fn without_section(section: &str) -> String {
    let mut text = String::new();
    let mut inside = false;
    for line in MINIMAL.lines() {
        if line.starts_with('[') {
            inside = line == format!("[{section}]");
        }
        if !inside {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(Path::new("node.toml"), text)
}

#[track_caller]
fn message(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

#[test]
fn names_are_host_names() {
    let text = |names: &str| format!("{MINIMAL}[listen]\nnames = {names}\n");
    let config = parse(&text(r#"["Chat.Example.org", "chat"]"#)).unwrap();
    assert_eq!(config.listen.names, ["chat.example.org", "chat"]);
    let list = |count: usize| format!("{:?}", vec!["chat"; count]);
    assert_eq!(parse(&text(&list(16))).unwrap().listen.names.len(), 16);
    for wrong in [list(17), r#"[""]"#.into(), r#"["a:1"]"#.into(), r#"["https://a"]"#.into()] {
        let wrong = message(&text(&wrong));
        assert!(wrong.starts_with("node.toml:15: listen.names: "), "{wrong}");
        assert!(
            wrong.ends_with("; allowed: 0 to 16 host names, without scheme and port"),
            "{wrong}"
        );
    }
}

#[test]
fn the_metrics_are_open_on_loopback_only() {
    let text = |address: &str| format!("{MINIMAL}[listen]\nmetrics = \"{address}\"\n");
    for address in ["0.0.0.0:7412", "10.0.0.1:7412", "127.0.0.1:0", "127.0.0.1", "on"] {
        let wrong = message(&text(address));
        let place = format!("node.toml:15: listen.metrics: \"{address}\" is no loopback address");
        assert!(wrong.starts_with(&place), "{wrong}");
    }
    for address in ["127.0.0.1:7412", "[::1]:7412"] {
        let metrics = parse(&text(address)).unwrap().listen.metrics;
        assert_eq!(metrics, Some(address.parse().unwrap()));
    }
    assert_eq!(parse(&text("off")).unwrap().listen.metrics, None);
}

#[test]
fn a_metrics_token_that_is_asked_for_must_be_there() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["ca.pem", "node.pem", "node.key"] {
        fs::write(dir.path().join(name), "").unwrap();
    }
    fs::create_dir(dir.path().join("data")).unwrap();
    let file = dir.path().join("node.toml");
    fs::write(&file, MINIMAL).unwrap();
    let token_file = Config::load(&file).unwrap().metrics.token_file;
    assert_eq!(token_file, dir.path().join(METRICS_TOKEN_FILE), "which may be missing");
    fs::write(&file, format!("{MINIMAL}[metrics]\ntoken_file = \"metrics.token\"\n")).unwrap();
    let wrong = Config::load(&file).unwrap_err().to_string();
    assert!(wrong.contains(":15: metrics.token_file: there is no file "), "{wrong}");
    fs::write(token_file, "").unwrap();
    drop(Config::load(&file).unwrap());
}
