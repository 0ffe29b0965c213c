//! The text is what a strict reader of `OpenMetrics` takes, and the log's files are measured.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use election::{EntryId, Index, Micros, NodeId, StoreId, Term, VoterId};
use replication::{ClusterConfig, Mode, Outcome, PeerStatus, Refusal, Role, Status};
use wal::{Entry, EntryKind, Io, Log, Op, Options, RealIo};

use super::{Metrics, TimedIo, Waiting};

/// The value of a sample, by its whole name and labels.
fn sample(text: &str, name: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in\n{text}")).parse().unwrap()
}

#[test]
fn every_family_is_named_described_and_typed() {
    let metrics = Metrics::new();
    metrics.clients.answered("GET", "/v1/me", 200, Duration::from_millis(3));
    let text = metrics.text();
    assert!(text.ends_with("# EOF\n"), "{text}");
    let mut described = BTreeMap::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("# HELP ")) {
        let (name, help) = line.split_once(' ').unwrap();
        assert!(name.starts_with("holdfast_"), "{name}");
        assert!(help.len() > 5 && help.ends_with('.'), "{name}: {help}");
        assert!(described.insert(name.to_owned(), help.to_owned()).is_none(), "{name} twice");
    }
    let typed = text.lines().filter(|line| line.starts_with("# TYPE ")).count();
    assert_eq!(typed, described.len());
    for unit in text.lines().filter_map(|line| line.strip_prefix("# UNIT ")) {
        let (name, unit) = unit.split_once(' ').unwrap();
        assert!(matches!(unit, "seconds" | "bytes"), "{name} in {unit}");
        assert!(name.ends_with(unit), "{name} in {unit}");
    }
    assert!(sample(&text, "holdfast_process_resident_memory_bytes") > 1e6);
    assert!(sample(&text, "holdfast_process_start_time_seconds") > 1.5e9);
    let version = env!("CARGO_PKG_VERSION");
    assert!(text.contains(&format!("holdfast_build_info{{version=\"{version}\"}} 1\n")), "{text}");
}

#[test]
fn a_method_that_nobody_knows_gets_no_name_of_its_own() {
    let metrics = Metrics::new();
    for method in ["BREW", "GET\n", "\"", "GET"] {
        metrics.clients.answered(method, "none", 404, Duration::ZERO);
    }
    let text = metrics.text();
    let requests = "holdfast_http_requests_total";
    let other = format!("{requests}{{method=\"other\",route=\"none\",code=\"404\"}}");
    assert!((sample(&text, &other) - 3.0).abs() < 0.5, "{text}");
    assert!(!text.contains("BREW"));
}

#[test]
fn what_is_open_is_counted_until_it_is_dropped() {
    let metrics = Metrics::new();
    let held = (metrics.clients.connected(), metrics.clients.connected());
    let open = |metrics: &Metrics| sample(&metrics.text(), "holdfast_http_connections");
    assert!((open(&metrics) - 2.0).abs() < 0.5);
    drop(held);
    assert!(open(&metrics).abs() < 0.5);
}

#[test]
fn each_election_and_each_leader_counts_once() {
    let metrics = Metrics::new();
    let steps = [
        (Role::Follower, 1, None),
        (Role::PreCandidate, 1, None),
        (Role::Candidate, 2, None),
        (Role::Candidate, 3, None),
        (Role::Leader, 3, Some(1)),
        (Role::Leader, 3, Some(1)),
        (Role::Follower, 4, None),
        (Role::Follower, 4, Some(2)),
    ];
    let state =
        |(role, term, leader): (Role, u64, Option<u64>)| (role, Term(term), leader.map(NodeId));
    for pair in steps.windows(2) {
        metrics.core.role(state(pair[0]), state(pair[1]));
    }
    metrics.core.outcome(Outcome::NotAccepted(Refusal::NoSpace));
    let text = metrics.text();
    for (name, value) in [
        ("holdfast_elections_started_total", 2.0),
        ("holdfast_elections_won_total", 1.0),
        ("holdfast_leader_changes_total", 2.0),
        ("holdfast_proposals_total{outcome=\"disk_full\"}", 1.0),
    ] {
        assert!((sample(&text, name) - value).abs() < 0.5, "{name} in\n{text}");
    }
}

#[test]
fn syncs_of_the_log_are_timed_and_making_a_segment_is_not_taken_for_one() {
    let dir = tempfile::tempdir().unwrap();
    let metrics = Metrics::new();
    let disk = RealIo::new(dir.path()).unwrap();
    let io: Arc<dyn Io> = Arc::new(TimedIo::new(disk, metrics.disk.clone()));
    let options = Options { segment_bytes: 32 << 20, spare_segments: 1, ..Options::default() };
    let identity = wal::Identity { cluster: 1, node: 1, store: 1 };
    Log::create(&io, identity, &options).unwrap();
    let (mut log, _) = Log::open(io, options).unwrap();
    let syncs = |text: &str, file: &str| {
        let name = format!("holdfast_log_sync_duration_seconds_count{{file=\"{file}\"}}");
        sample(text, &name)
    };
    let append = |index| {
        let entry = Entry::new(index, 1, EntryKind::Command, vec![7; 1_000].into());
        Op::Append(vec![entry])
    };
    // The first entry begins a segment, with syncs of its own.
    log.stage(1, append(1));
    log.write().unwrap();
    log.sync().unwrap();
    log.upkeep().unwrap();
    let before = metrics.text();
    for index in 2..=4 {
        let op = append(index);
        metrics.disk.submitted(index, &op);
        log.stage(index, op);
    }
    log.write().unwrap();
    metrics.disk.durable(log.sync().unwrap());
    let after = metrics.text();
    assert!((syncs(&after, "segment") - syncs(&before, "segment") - 1.0).abs() < 0.5, "{after}");
    assert!((syncs(&after, "spare") - syncs(&before, "spare")).abs() < 0.5, "{after}");
    metrics.disk.opened(Duration::from_millis(30), 4_096, log.reader());
    let mut scrub = wal::Scrub::new(&log.reader());
    metrics.disk.scrub.stepped(&scrub.step(1 << 20));
    let found = wal::ScrubStep {
        is_cached: false,
        read_bytes: 512,
        findings: vec![wal::Finding {
            path: dir.path().to_path_buf(),
            offset: 4_096,
            damage: wal::Damage::Header,
            entries: None,
        }],
        is_pass_over: true,
    };
    metrics.disk.scrub.stepped(&found);
    let text = metrics.text();
    for (name, value) in [
        ("holdfast_log_open_duration_seconds", 0.03),
        ("holdfast_log_open_read_bytes", 4_096.0),
        ("holdfast_log_segments", 1.0),
        ("holdfast_log_spare_segments", 1.0),
        ("holdfast_log_faulty_entries", 0.0),
        ("holdfast_scrub_read_bytes_total", 512.0),
        ("holdfast_scrub_passes_total", 1.0),
        ("holdfast_scrub_errors_total", 1.0),
    ] {
        assert!((sample(&text, name) - value).abs() < 1e-6, "{name} in\n{text}");
    }
    assert!((sample(&after, "holdfast_log_sync_entries_sum") - 3.0).abs() < 0.1, "{after}");
    let written = sample(&after, "holdfast_log_write_bytes_sum")
        - sample(&before, "holdfast_log_write_bytes_sum");
    assert!((3_000.0..8_192.0).contains(&written), "{written}");
    log.close().unwrap();
    let closed = metrics.text();
    assert!((syncs(&closed, "segment") - syncs(&after, "segment")).abs() < 0.5, "{closed}");
    assert!((syncs(&closed, "footer") - 1.0).abs() < 0.5, "nobody waits for a footer: {closed}");
}

/// What a leader of two knows.
fn status() -> Status {
    let config = ClusterConfig {
        mode: Mode::Pair,
        voters: Vec::new(),
        learners: Vec::new(),
        known: Vec::new(),
        target_size: 2,
        level: 1,
        predecessor: Index(0),
    };
    let node = NodeId(2);
    let peer = PeerStatus {
        node,
        voter: true,
        store: None,
        connected: true,
        matched: Some(Index(1)),
        heard: None,
        keeps_up_since: None,
    };
    Status {
        me: VoterId { node: NodeId(1), store: StoreId(1) },
        role: Role::Leader,
        term: Term(1),
        leader: Some(NodeId(1)),
        commit: Index(1),
        last: EntryId { term: Term(1), index: Index(3) },
        durable: Index(2),
        faulty: Vec::new(),
        unread: Vec::new(),
        given_up: None,
        config,
        config_index: Index(0),
        level: 1,
        bound: true,
        draining: false,
        election_timeout: Micros::from_millis(150),
        peers: vec![peer],
    }
}

#[test]
fn what_a_leader_knows_is_told_of_each_peer() {
    let metrics = Metrics::new();
    let waiting = Waiting { queue_bytes: 7, queue_ops: 2, proposals: 1 };
    let tell = |status: &Status| {
        metrics.core.sample(status, waiting, |_| Some(Duration::from_millis(2)));
        metrics.text()
    };
    let text = tell(&status());
    for (name, value) in [
        ("holdfast_role{role=\"leader\"}", 1.0),
        ("holdfast_role{role=\"follower\"}", 0.0),
        ("holdfast_durable_index", 2.0),
        ("holdfast_last_index", 3.0),
        ("holdfast_log_queue_bytes", 7.0),
        ("holdfast_proposals_waiting", 1.0),
        ("holdfast_peer_connected{peer=\"2\"}", 1.0),
        ("holdfast_peer_lag_entries{peer=\"2\"}", 2.0),
        ("holdfast_peer_round_trip_seconds{peer=\"2\"}", 0.002),
    ] {
        assert!((sample(&text, name) - value).abs() < 1e-9, "{name} in\n{text}");
    }
    let mut lost = status();
    lost.peers[0].connected = false;
    lost.peers[0].matched = None;
    let text = tell(&lost);
    assert!(sample(&text, "holdfast_peer_connected{peer=\"2\"}").abs() < 0.5);
    for unknown in ["holdfast_peer_lag_entries{", "holdfast_peer_round_trip_seconds{"] {
        assert!(!text.contains(unknown), "an old figure would be taken for a new one");
    }
}

/// An alert over a name that nothing has never fires.
#[test]
fn the_alerts_shipped_ask_for_what_is_measured() {
    let metrics = Metrics::new();
    metrics.core.sample(&status(), Waiting::default(), |_| None);
    metrics.clients.answered("GET", "/v1/me", 503, Duration::ZERO);
    let dir = tempfile::tempdir().unwrap();
    let io = TimedIo::new(RealIo::new(dir.path()).unwrap(), metrics.disk.clone());
    drop(io.create("seg").unwrap());
    io.open("seg").unwrap().sync_data().unwrap();
    let text = metrics.text();
    let rules = include_str!("../../alerts.yml");
    let asked = rules.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let asked: Vec<&str> = asked.filter(|word| word.starts_with("holdfast_")).collect();
    assert!(asked.len() >= 10, "{asked:?}");
    for name in asked {
        let ends = ["_total", "_bucket", "_count", "_sum"];
        let family = ends.iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        assert!(text.contains(&format!("# TYPE {family} ")), "nothing measures {name}");
    }
}
