//! One test per trap of `research/consensus.md` §2 that the ordered effects do not name already.

use bytes::Bytes;
use election::{Index, Micros, NodeId, Term, Ticket};
use wal::{Entry, EntryKind, Op};

use super::{
    cluster::{Cluster, EPOCH},
    disk::voter,
    one::{
        One, append, appended, at, bound_boot, commits, counting_heartbeat, entry, heartbeat,
        heartbeat_answer, send,
    },
};
use crate::{
    ClusterConfig, Effect, Halt, Input, LinkEvent, Message, Outcome, ProposalId, ReadId, Refusal,
    Role, split_stamp,
};

fn millis(n: u64) -> Micros {
    Micros::from_millis(n)
}

fn conflict(term: u64, refused: election::EntryId, hint: election::EntryId) -> Message {
    Message::Conflict { term: Term(term), refused, hint }
}

#[test]
fn trap_3_a_vote_is_remembered_over_a_restart() {
    let mut boot = bound_boot(3, 4, vec![entry(1, 1)]);
    boot.hard_state.voted_for = Some(voter(3));
    let mut one = One::boot(boot);
    let vote = Message::Vote { term: Term(4), last: at(3, 9), transfer: false };
    let answer = |granted| Message::VoteAnswer { term: Term(4), granted };
    assert_eq!(one.hear(2, vote.clone()), [send(2, answer(false), 0)]);
    assert_eq!(one.hear(3, vote), [send(3, answer(true), 0)]);
}

#[test]
fn trap_9_an_old_write_of_a_rewritten_index_makes_nothing_durable() {
    let mut one = One::new(1, vec![entry(1, 1)]);
    one.hear(2, append(2, at(1, 1), 0, vec![entry(2, 2), entry(2, 3)]));
    let old = Ticket(2);
    one.hear(3, append(3, at(1, 1), 0, vec![entry(3, 2), entry(3, 3)]));
    one.input(Input::Durable(old));
    assert_eq!(one.replica.status().durable, Index(1), "2 and 3 were written again since");
    one.sync();
    assert_eq!(one.replica.status().durable, Index(3));
}

#[test]
fn trap_10_the_leaders_own_copy_counts_after_its_fsync() {
    let mut one = One::lead_with(bound_boot(2, 1, Vec::new()));
    assert_eq!(commits(&one.hear(2, appended(2, 1))), [], "two of two, one of them not durable");
    assert_eq!(commits(&one.sync()), [1]);
}

#[test]
fn trap_19_a_restart_takes_its_members_from_the_log() {
    let mut boot = bound_boot(3, 2, vec![entry(2, 1)]);
    let later = ClusterConfig { target_size: 5, ..boot.genesis.clone() };
    boot.configs = vec![(Index(1), later.clone())];
    let status = One::boot(boot).replica.status();
    assert_eq!((status.config, status.config_index), (later, Index(1)), "not from the genesis");
}

#[test]
fn trap_20_no_configuration_before_an_own_entry_is_committed() {
    let mut boot = bound_boot(3, 1, vec![entry(1, 1)]);
    boot.genesis.voters[2].store = None;
    boot.bindings.insert(NodeId(3), voter(3).store);
    let mut one = One::lead_with(boot);
    let config = |effects: &[Effect]| {
        effects.iter().any(|effect| {
            matches!(effect, Effect::Persist { op: Op::Append(entries), .. }
                if entries[0].kind == EntryKind::Config)
        })
    };
    assert!(!config(&one.hear(3, appended(2, 1))), "the disk is known, nothing is committed");
    assert!(!config(&one.hear(2, appended(2, 2))));
    assert!(config(&one.sync()), "committed");
    let status = one.replica.status();
    assert_eq!((status.config_index, status.config.predecessor), (Index(3), Index(0)));
}

#[test]
fn trap_23_a_node_cut_off_for_long_disturbs_nobody() {
    let mut cluster = Cluster::settled(3, 4);
    let (leader, away) = (cluster.leader().unwrap(), cluster.follower());
    let term = cluster.replica(leader).status().term;
    cluster.isolate(away);
    cluster.run_for(millis(3_000));
    assert_eq!(cluster.replica(away).status().term, term, "asking raises no term");
    cluster.heal();
    cluster.run_for(millis(1_000));
    assert_eq!(cluster.leader(), Some(leader));
    assert_eq!(cluster.replica(leader).status().term, term);
}

#[test]
fn trap_27_a_partial_partition_changes_no_leader() {
    // n_a hears everybody but the leader.
    let mut cluster = Cluster::settled(3, 5);
    let (leader, a) = (cluster.leader().unwrap(), cluster.follower());
    let term = cluster.replica(leader).status().term;
    cluster.set_link(leader, a, false, true);
    cluster.run_for(millis(5_000));
    assert_eq!(cluster.leader(), Some(leader));
    assert_eq!(cluster.replica(leader).status().term, term);
    let id = cluster.propose(leader, "still here");
    cluster.run_for(millis(100));
    assert!(matches!(cluster.outcomes[&id], Outcome::Committed(_)));
}

#[test]
fn trap_28_a_leader_that_hears_nobody_stops_its_heartbeats() {
    // Its heartbeats still arrive, and would keep the others loyal for ever.
    let mut cluster = Cluster::settled(3, 6);
    let deaf = cluster.leader().unwrap();
    for peer in cluster.peers_of(deaf) {
        cluster.cut.insert((peer, deaf));
    }
    let since = cluster.now;
    cluster.run_until("another leader", |cluster| {
        cluster.leader() != Some(deaf) && cluster.leader().is_some()
    });
    assert!(cluster.now.since(since) < millis(900), "{:?}", cluster.now.since(since));
}

#[test]
fn trap_29_a_stale_leader_is_told_the_newer_term() {
    let mut one = One::new(5, vec![entry(5, 1)]);
    let refusal = conflict(5, at(0, 0), at(0, 0));
    assert_eq!(one.hear(2, append(3, at(0, 0), 9, vec![entry(3, 1)])), [send(2, refusal, 0)]);
    assert_eq!(one.hear(2, heartbeat(3, 9, 7)), [send(2, heartbeat_answer(5, 7, EPOCH), 0)]);
    assert_eq!(one.replica.status().leader, None);

    for answer in [heartbeat_answer(9, 1, EPOCH), appended(9, 1), conflict(9, at(1, 1), at(0, 0))] {
        let mut leader = One::lead(1, vec![entry(1, 1)]);
        leader.hear(3, answer);
        let status = leader.replica.status();
        assert_eq!((status.role, status.term), (Role::Follower, Term(9)));
    }
}

#[test]
fn trap_31_a_message_carries_the_term_it_was_made_in() {
    let mut one = One::lead(1, Vec::new());
    let effects = one.propose(1, b"x");
    one.hear(2, heartbeat_answer(9, 1, EPOCH));
    let terms = effects.iter().filter_map(|effect| match effect {
        Effect::Send { message: Message::Append { term, .. }, .. } => Some(*term),
        _ => None,
    });
    assert!(terms.eq([]), "the first probe is still under way, nothing else is sent");
    assert_eq!(one.replica.status().role, Role::Follower);
    one.now = one.now.plus(millis(50));
    assert!(
        !one.input(Input::Wake).iter().any(|effect| matches!(
            effect,
            Effect::Send { message: Message::Heartbeat { .. }, .. }
        )),
        "and no heartbeat of a term that it does not lead"
    );
}

#[test]
fn trap_32_a_leader_with_a_stalled_disk_gives_way() {
    let mut cluster = Cluster::settled(3, 8);
    let zombie = cluster.leader().unwrap();
    cluster.nodes.get_mut(&zombie).unwrap().stalled = true;
    let id = cluster.propose(zombie, "it commits by the others' copies");
    cluster.run_for(millis(100));
    assert!(matches!(cluster.outcomes[&id], Outcome::Committed(_)));
    cluster.run_until("another leader", |cluster| {
        cluster.leader().is_some_and(|leader| leader != zombie)
    });
    assert_eq!(cluster.replica(zombie).status().role, Role::Follower);
    cluster.unstall(zombie);
    cluster.run_for(millis(1_000));
    cluster.check_settled();
}

#[test]
fn trap_33_only_entries_of_the_own_term_commit_by_counting() {
    // Raft figure 8: two copies of an entry of term 1 prove nothing in term 2.
    let mut one = One::lead(1, vec![entry(1, 1), entry(1, 2)]);
    one.sync();
    assert_eq!(commits(&one.hear(2, appended(2, 2))), []);
    assert_eq!(commits(&one.hear(3, appended(2, 2))), []);
    assert_eq!(commits(&one.hear(3, appended(2, 3))), [3], "the own entry takes them along");
}

#[test]
fn trap_36_stale_and_repeated_appends_change_nothing() {
    let mut one = One::new(2, Vec::new());
    let first = append(2, at(0, 0), 0, vec![entry(1, 1)]);
    let second = append(2, at(1, 1), 2, vec![entry(2, 2), entry(2, 3)]);
    one.hear(2, first.clone());
    one.hear(2, second.clone());
    for (again, matched) in [(first, 1), (second, 3)] {
        let effects = one.hear(2, again);
        assert_eq!(effects, [send(2, appended(2, matched), 2)]);
    }
    assert_eq!(one.replica.status().last, at(2, 3), "nothing was cut");
    assert_eq!(one.replica.status().commit, Index(2));
}

#[test]
fn trap_36_what_is_committed_is_never_cut() {
    let mut one = One::new(2, Vec::new());
    one.hear(2, append(2, at(0, 0), 1, vec![entry(2, 1), entry(2, 2)]));
    let effects = one.hear(3, append(3, at(0, 0), 0, vec![entry(3, 1)]));
    assert_eq!(effects.last(), Some(&Effect::Halt(Halt::Diverged { at: Index(1) })));
    assert_eq!(one.hear(3, heartbeat(3, 1, 1)), [], "nothing more is said");
    assert_eq!(one.replica.deadline(), Micros(u64::MAX));
}

#[test]
fn trap_36_a_leader_whose_log_meets_a_committed_entry_otherwise_is_not_followed() {
    let mut one = One::new(3, Vec::new());
    one.hear(2, append(3, at(0, 0), 2, vec![entry(2, 1), entry(3, 2)]));
    assert_eq!(one.replica.status().commit, Index(2));
    let effects = one.hear(3, append(4, at(1, 2), 0, vec![entry(1, 3)]));
    assert_eq!(effects.last(), Some(&Effect::Halt(Halt::Diverged { at: Index(2) })));
}

#[test]
fn trap_37_the_commit_index_stops_where_the_logs_are_known_to_match() {
    let mut one = One::new(1, vec![entry(1, 1), entry(1, 2), entry(1, 3)]);
    assert_eq!(commits(&one.hear(2, heartbeat(2, 3, 1))), [], "nothing was compared yet");
    assert_eq!(commits(&one.hear(2, append(2, at(1, 2), 3, Vec::new()))), [2]);
    assert_eq!(commits(&one.hear(2, heartbeat(2, 3, 2))), []);
    assert_eq!(commits(&one.hear(2, append(2, at(1, 3), 9, Vec::new()))), [3]);

    // The leader caps it as well.
    let mut leader = One::lead(1, vec![entry(1, 1)]);
    leader.sync();
    let effects = leader.hear(2, appended(2, 2));
    assert_eq!(commits(&effects), [2]);
    leader.now = leader.now.plus(millis(50));
    let effects = leader.input(Input::Wake);
    assert!(effects.contains(&send(2, counting_heartbeat(2, 2, 2, 2), 1)));
    assert!(effects.contains(&send(3, heartbeat(2, 0, 2), 1)), "three has acknowledged nothing");
}

#[test]
fn trap_37_what_matched_goes_on_matching_within_a_term() {
    // A short silence makes it ask for an election; nothing is sent again afterwards.
    let mut one = One::new(1, Vec::new());
    one.hear(2, append(2, at(0, 0), 0, vec![entry(2, 1)]));
    one.now = one.replica.deadline();
    one.input(Input::Wake);
    assert_eq!(one.replica.status().role, Role::PreCandidate);
    assert_eq!(commits(&one.hear(2, heartbeat(2, 1, 2))), [1]);
}

#[test]
fn trap_34_a_leader_that_leaves_hands_over_without_loss() {
    for seed in 0..20 {
        let mut cluster = Cluster::settled(3, seed);
        let leaving = cluster.leader().unwrap();
        let other = cluster.follower();
        let mut asked = Vec::new();
        for n in 0..20 {
            asked.push(cluster.propose(if n % 2 == 0 { leaving } else { other }, &format!("{n}")));
        }
        cluster.run_for(Micros(seed * 50));
        cluster.input(leaving, Input::Leave);
        let since = cluster.now;
        let late = cluster.propose(leaving, "too late");
        assert_eq!(cluster.outcomes[&late], Outcome::NotAccepted(Refusal::Draining));
        cluster.run_until("a successor", |cluster| {
            cluster.leader().is_some_and(|leader| leader != leaving)
        });
        assert!(cluster.now.since(since) < millis(50), "{:?}", cluster.now.since(since));
        cluster.run_for(millis(100));
        for id in asked {
            let outcome = cluster.outcomes[&id];
            let drained = outcome == Outcome::NotAccepted(Refusal::Draining);
            assert!(drained || matches!(outcome, Outcome::Committed(_)), "{outcome:?}");
        }
        let status = cluster.replica(leaving).status();
        assert!(status.draining && status.role == Role::Follower);
        // What its clients still ask goes to the successor.
        let passed_on = cluster.propose(leaving, "passed on");
        cluster.run_for(millis(100));
        assert!(matches!(cluster.outcomes[&passed_on], Outcome::Committed(_)));
        cluster.check_settled();
    }
}

#[test]
fn trap_34_a_hand_over_to_nobody_ends() {
    let mut cluster = Cluster::settled(3, 2);
    let leaving = cluster.leader().unwrap();
    cluster.isolate(leaving);
    cluster.propose(leaving, "nobody hears this");
    cluster.input(leaving, Input::Leave);
    cluster.run_for(millis(151));
    assert_ne!(cluster.replica(leaving).status().role, Role::Leader);

    let mut alone = Cluster::settled(1, 2);
    let id = alone.propose(NodeId(1), "the last");
    alone.input(NodeId(1), Input::Leave);
    alone.run_for(millis(5));
    assert!(matches!(alone.outcomes[&id], Outcome::Committed(_)));
    assert_eq!(alone.replica(NodeId(1)).status().role, Role::Follower);
}

#[test]
fn trap_40_a_deposed_leader_answers_no_read() {
    let mut cluster = Cluster::settled(3, 9);
    let old = cluster.leader().unwrap();
    cluster.isolate(old);
    let stale = cluster.read(old);
    cluster.run_until("another leader", |cluster| {
        cluster.leader().is_some_and(|leader| leader != old)
    });
    let new = cluster.leader().unwrap();
    cluster.propose(new, "news");
    let during = cluster.read(old);
    cluster.run_for(millis(500));
    assert_eq!(cluster.reads[&stale], None, "it failed, and did not wait for ever");
    assert_eq!(cluster.reads[&during], None);
}

#[test]
fn trap_40_a_round_that_started_before_the_question_does_not_count() {
    let mut one = One::lead(1, Vec::new());
    one.sync();
    one.hear(2, appended(2, 1));
    // Round 1 went out when it was elected.
    one.input(Input::Read { id: ReadId(1) });
    assert_eq!(one.hear(2, heartbeat_answer(2, 1, EPOCH)), []);
    one.input(Input::Read { id: ReadId(2) });
    let ready = Effect::ReadReady { id: ReadId(1), index: Index(1) };
    let effects = one.hear(2, heartbeat_answer(2, 2, EPOCH));
    assert_eq!(effects[0], ready);
    assert!(!effects.contains(&Effect::ReadReady { id: ReadId(2), index: Index(1) }));
    let effects = one.hear(2, heartbeat_answer(2, 3, EPOCH));
    assert_eq!(effects, [Effect::ReadReady { id: ReadId(2), index: Index(1) }]);
}

#[test]
fn trap_41_a_new_leader_answers_no_read_before_its_first_entry_is_committed() {
    let mut one = One::lead(1, vec![entry(1, 1)]);
    one.input(Input::Read { id: ReadId(1) });
    one.hear(2, heartbeat_answer(2, 1, EPOCH));
    one.sync();
    let effects = one.hear(2, appended(2, 2));
    assert!(commits(&effects) == [2] && effects.contains(&send(3, heartbeat(2, 0, 2), 1)));
    let effects = one.hear(3, heartbeat_answer(2, 2, EPOCH));
    assert_eq!(effects, [Effect::ReadReady { id: ReadId(1), index: Index(2) }]);
}

#[test]
fn trap_43_an_outcome_that_cannot_be_known_is_unknown() {
    let mut one = One::new(1, Vec::new());
    assert_eq!(
        one.propose(1, b"x"),
        [Effect::Reply { id: ProposalId(1), outcome: Outcome::NotAccepted(Refusal::NoLeader) }]
    );
    let unknown = |id| Effect::Reply { id: ProposalId(id), outcome: Outcome::Unknown };
    // The link to the leader breaks before it says where the entry stands.
    one.hear(2, heartbeat(2, 0, 1));
    one.propose(2, b"x");
    let lost = Input::Link { peer: NodeId(2), event: LinkEvent::Lost };
    assert_eq!(one.input(lost)[0], unknown(2));
    // Another entry is committed at its place.
    one.hear(2, heartbeat(2, 0, 2));
    let up = Input::Link { peer: NodeId(2), event: LinkEvent::Up(voter(2)) };
    one.input(up);
    let asked = one.propose(3, b"x");
    let Effect::Send { message: Message::Forward { id, .. }, .. } = asked[0] else {
        panic!("{asked:?}")
    };
    one.hear(2, Message::Forwarded { id, outcome: Ok(at(2, 1)) });
    let effects = one.hear(3, append(3, at(0, 0), 1, vec![entry(3, 1)]));
    assert!(effects.contains(&unknown(3)));
    // Nothing is heard of its place any more.
    let asked = one.propose(4, b"x");
    let Effect::Send { message: Message::Forward { id, .. }, .. } = asked[0] else {
        panic!("{asked:?}")
    };
    one.hear(3, Message::Forwarded { id, outcome: Ok(at(3, 2)) });
    let until = one.now.plus(millis(600));
    let mut replies = Vec::new();
    while one.replica.deadline() <= until {
        one.now = one.replica.deadline();
        replies.extend(one.input(Input::Wake));
    }
    assert!(replies.contains(&unknown(4)), "within an election of losing the leader");
}

/// trap 43: behind an entry of a newer term nothing older is ever committed, so nobody waits for it.
#[test]
fn trap_43_a_place_behind_the_next_leaders_first_entry_is_given_up_at_once() {
    let mut one = One::new(1, Vec::new());
    one.hear(2, heartbeat(2, 0, 1));
    let ask = |one: &mut One, id, place| {
        let asked = one.propose(id, b"x");
        let Effect::Send { message: Message::Forward { id, .. }, .. } = asked[0] else {
            panic!("{asked:?}")
        };
        one.hear(2, Message::Forwarded { id, outcome: Ok(place) })
    };
    assert_eq!(ask(&mut one, 1, at(2, 7)), []);
    // The next leader never saw it.
    let no_op = Entry::new(1, 3, EntryKind::NoOp, Bytes::new());
    let effects = one.hear(3, append(3, at(0, 0), 0, vec![no_op]));
    let reply = |effects: &crate::Effects| {
        effects.iter().any(|effect| matches!(effect, Effect::Reply { .. }))
    };
    assert!(!reply(&effects), "it may have: that is known when something of its own is committed");
    let unknown = Effect::Reply { id: ProposalId(1), outcome: Outcome::Unknown };
    assert_eq!(one.hear(3, heartbeat(3, 1, 1))[1..], [Effect::Commit(Index(1)), unknown]);
}

#[test]
fn trap_43_a_client_is_answered_soon_after_its_leader_died() {
    for seed in 0..20 {
        let mut cluster = Cluster::settled(3, seed);
        let (leader, other) = (cluster.leader().unwrap(), cluster.follower());
        let id = cluster.propose(other, "was it taken?");
        cluster.run_for(Micros(seed * 100));
        cluster.kill(leader, false);
        let killed = cluster.now;
        cluster.run_until("an answer", |cluster| cluster.outcomes.contains_key(&id));
        assert!(cluster.now.since(killed) <= millis(550), "{:?}", cluster.now.since(killed));
    }
}

#[test]
fn fast_back_up_skips_a_term_at_a_time() {
    // Raft §5.3: the leader has 1 1 1 4 4 5 5, the follower 1 1 1 2 2 3 3 3.
    let terms = |terms: &[u64]| -> Vec<Entry> {
        terms.iter().zip(1..).map(|(term, index)| entry(*term, index)).collect()
    };
    let mut follower = One::new(6, terms(&[1, 1, 1, 2, 2, 3, 3, 3]));
    let mut leader = One::lead(5, terms(&[1, 1, 1, 4, 4, 5, 5]));
    let probe = append(6, at(5, 7), 0, Vec::new());
    let refusal = follower.hear(2, probe);
    assert_eq!(refusal[1], send(2, conflict(6, at(5, 7), at(3, 7)), 0), "{refusal:?}");
    let next = leader.hear(2, conflict(6, at(5, 7), at(3, 7)));
    let [Effect::Fetch { fetch, first, last, .. }] = next[..] else { panic!("{next:?}") };
    assert_eq!((first, last), (Index(4), Index(7)), "one question found where they meet");
    let entries = terms(&[1, 1, 1, 4, 4, 5, 5]).split_off(3);
    let next = leader.input(Input::Fetched { fetch, entries: entries.clone() });
    assert_eq!(next, [send(2, append(6, at(1, 3), 0, entries), 1)]);
    assert_eq!(leader.hear(2, conflict(6, at(5, 7), at(3, 7))), [], "the same answer again is old");
}

/// Research trap 17: and so is one with a flipped bit.
#[test]
fn a_malformed_append_is_ignored() {
    let mut broken = entry(2, 1);
    broken.checksum ^= 1;
    let config = Entry::new(1, 2, EntryKind::Config, Bytes::from_static(b"garbage"));
    for (previous, entries) in [
        (at(0, 0), vec![entry(2, 2)]),
        (at(0, 0), vec![entry(2, 1), entry(1, 2)]),
        (at(0, 0), vec![entry(3, 1)]),
        (at(0, 0), vec![broken]),
        (at(0, 0), vec![config]),
        (at(2, u64::MAX), vec![entry(2, 0)]),
        (at(2, 0), Vec::new()),
        (at(3, 1), Vec::new()),
    ] {
        let mut one = One::new(2, Vec::new());
        let effects = one.hear(2, append(2, previous, 9, entries));
        assert_eq!(effects.len(), 1, "only the leader is noted: {effects:?}");
        assert_eq!(one.replica.status().last, at(0, 0));
    }
}

#[test]
fn log_time_is_the_median_of_the_voters_clocks() {
    let mut one = One::elected(bound_boot(3, 1, Vec::new()));
    let stamp = |effects: &[Effect]| match &effects[0] {
        Effect::Persist { op: Op::Append(entries), .. } => {
            split_stamp(&entries[0].payload).unwrap().0
        }
        other => panic!("{other:?}"),
    };
    let hour = millis(3_600_000);
    let refused = Outcome::NotAccepted(Refusal::NoLeader);
    assert_eq!(
        one.propose(1, b"x"),
        [Effect::Reply { id: ProposalId(1), outcome: refused }],
        "its own clock alone is no clock: log time cannot be taken back"
    );
    one.hear(2, heartbeat_answer(2, 1, EPOCH.plus(hour)));
    assert_eq!(stamp(&one.propose(2, b"x")), EPOCH.0, "of two the lower");
    one.hear(3, heartbeat_answer(2, 1, EPOCH.plus(Micros(5))));
    assert_eq!(stamp(&one.propose(3, b"x")), EPOCH.0 + 5, "one wrong clock moves it by nothing");
}

#[test]
fn a_clock_that_is_set_moves_log_time_by_nothing() {
    let mut one = One::elected(bound_boot(3, 1, Vec::new()));
    for node in [2, 3] {
        one.hear(node, heartbeat_answer(2, 1, EPOCH));
    }
    // The others' clocks were compared with one that no longer shows what it did.
    one.wall = EPOCH.plus(millis(3_600_000));
    let Effect::Persist { op: Op::Append(entries), .. } = &one.propose(1, b"x")[0] else {
        panic!("it leads and knows two clocks");
    };
    assert_eq!(split_stamp(&entries[0].payload).unwrap().0, EPOCH.0);
}

#[test]
fn two_wrong_clocks_of_five_move_log_time_by_nothing() {
    let mut one = One::elected(bound_boot(5, 1, Vec::new()));
    let stamp = |one: &mut One, id| match &one.propose(id, b"x")[..] {
        [Effect::Persist { op: Op::Append(entries), .. }, ..] => {
            Some(split_stamp(&entries[0].payload).unwrap().0 - EPOCH.0)
        }
        _ => None,
    };
    let mut stamps = Vec::new();
    // The two wrong ones answer first.
    for (node, ahead) in [(2, 3_600_000), (3, 7_200_000), (4, 5), (5, 9)] {
        one.hear(node, heartbeat_answer(2, 1, EPOCH.plus(millis(ahead))));
        stamps.push(stamp(&mut one, node));
    }
    assert_eq!(stamps, [None, Some(0), Some(5_000), Some(9_000)]);
}

#[test]
fn a_failover_takes_about_two_tenths_of_a_second() {
    let mut spans: Vec<u64> = (0..200)
        .map(|seed| {
            let mut cluster = Cluster::settled(3, seed);
            for node in cluster.nodes.values_mut() {
                node.fsync = Micros(2_000);
            }
            cluster.run_for(Micros(seed * 777 % 50_000));
            cluster.kill(cluster.leader().unwrap(), false);
            let (killed, before) = (cluster.now, cluster.committed.len());
            cluster.run_until("a commit", |cluster| cluster.committed.len() > before);
            cluster.now.since(killed).0 / 1_000
        })
        .collect();
    spans.sort_unstable();
    let (median, worst) = (spans[spans.len() / 2], spans[spans.len() - 1]);
    assert!(median <= 200 && worst <= 300, "median {median} ms, worst {worst} ms");
}

#[test]
fn an_announced_step_down_elects_at_once() {
    let mut cluster = Cluster::settled(3, 3);
    let leader = cluster.leader().unwrap();
    cluster.kill(leader, false);
    let (killed, before) = (cluster.now, cluster.committed.len());
    for peer in cluster.peers_of(leader) {
        let event = LinkEvent::SteppedDown;
        cluster.input(peer, Input::Link { peer: leader, event });
    }
    cluster.run_until("a commit", |cluster| cluster.committed.len() > before);
    assert!(cluster.now.since(killed) < millis(10), "{:?}", cluster.now.since(killed));
}

#[test]
fn the_largest_numbers_are_answered_or_ignored() {
    let largest = at(u64::MAX, u64::MAX);
    let term = Term(u64::MAX);
    for term in [term, Term(2), Term(1)] {
        for message in [
            append(term.0, largest, u64::MAX, Vec::new()),
            append(term.0, at(1, 1), u64::MAX, vec![entry(term.0, u64::MAX)]),
            heartbeat(term.0, u64::MAX, u64::MAX),
            heartbeat_answer(term.0, u64::MAX, Micros(u64::MAX)),
            appended(term.0, u64::MAX),
            conflict(term.0, largest, largest),
            Message::PreVote { term, last: largest },
            Message::PreVoteAnswer { term, granted: true },
            Message::PreVoteAnswer { term, granted: false },
            Message::Vote { term, last: largest, transfer: true },
            Message::VoteAnswer { term, granted: true },
            Message::TimeoutNow { term },
            Message::Forwarded { id: u64::MAX, outcome: Ok(largest) },
            Message::ReadAnswer { id: u64::MAX, index: Some(Index(u64::MAX)) },
        ] {
            for mut one in [One::new(1, vec![entry(1, 1)]), One::lead(1, vec![entry(1, 1)])] {
                one.hear(2, message.clone());
                for _ in 0..10 {
                    one.now = one.now.max(one.replica.deadline().min(one.now.plus(millis(100))));
                    one.input(Input::Wake);
                    one.sync();
                }
            }
        }
    }
}
