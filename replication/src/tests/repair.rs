//! What a node does about a log that it cannot read all of: what it says, writes and refuses, in order.

use election::{EntryId, Index, Term};
use wal::{Entry, EntryKind, FaultyKind, FaultyRange, Op};

use super::{
    disk::voter,
    one::{
        One, append, appended, at, bound_boot, commits, counting_heartbeat, entry, heartbeat,
        persist, send,
    },
};
use crate::{Boot, Effect, Effects, Fitness, Halt, Input, LinkEvent, Message, Role};

fn lost(first: u64, last: u64, terms: (u64, u64)) -> FaultyRange {
    let kind = FaultyKind::Corrupt;
    FaultyRange { first, last, term_min: terms.0, term_max: terms.1, kind }
}

fn end_unknown(first: u64, term_min: u64) -> FaultyRange {
    let kind = FaultyKind::EndUnknown;
    FaultyRange { first, last: u64::MAX, term_min, term_max: u64::MAX, kind }
}

/// Node 1 of three in `term`, linked to both others, with these entries, some of them lost.
fn damaged(term: u64, entries: Vec<Entry>, faulty: Vec<FaultyRange>) -> One {
    let mut one = One::boot(Boot { faulty, ..bound_boot(3, term, entries) });
    for peer in [2, 3] {
        let event = LinkEvent::Up(voter(peer));
        one.input(Input::Link { peer: voter(peer).node, event });
    }
    one
}

fn of_term_one(count: u64) -> Vec<Entry> {
    (1..=count).map(|index| entry(1, index)).collect()
}

/// What was asked: of whom, under which name, for what.
fn asked(effects: &Effects) -> Option<(u64, u64, (u64, u64), EntryId)> {
    effects.iter().find_map(|effect| match effect {
        Effect::Send { to, message: Message::Mend { id, first, last, anchor }, .. } => {
            Some((to.node.0, *id, (first.0, last.0), *anchor))
        }
        _ => None,
    })
}

/// The next question, when it is due.
fn next_asked(one: &mut One) -> (u64, u64, (u64, u64), EntryId) {
    for _ in 0..9 {
        one.now = one.now.max(one.replica.deadline());
        if let Some(asked) = asked(&one.input(Input::Wake)) {
            return asked;
        }
    }
    panic!("nobody is asked: {:?}", one.replica.status());
}

fn mended(id: u64, term: u64, end: Option<u64>, entries: Option<Vec<Entry>>) -> Message {
    let (holds, entries) = (entries.is_some(), entries.unwrap_or_default());
    let first = Index(entries.first().map_or(1, |entry| entry.index));
    Message::Mended { id, term: Term(term), end: end.map(Index), holds, first, entries }
}

fn vote(term: u64, last: EntryId) -> Message {
    Message::Vote { term: Term(term), last, transfer: false }
}

fn grants(effects: &Effects) -> bool {
    effects.iter().any(|effect| {
        matches!(effect, Effect::Send { message: Message::VoteAnswer { granted: true, .. }, .. })
    })
}

fn ops(effects: &Effects) -> Vec<&Op> {
    let ops = effects.iter().filter_map(|effect| match effect {
        Effect::Persist { op, .. } => Some(op),
        _ => None,
    });
    ops.collect()
}

/// Trap 13, F16: a node that cannot read its log does not stand, and votes for nobody whose log ends
/// before the last entry that it may have lost.
#[test]
fn trap_13_what_cannot_be_read_counts_when_votes_are_given() {
    for (faulty, refused, granted) in [
        // Lost and named: it was the last one.
        (lost(3, 3, (1, 1)), at(1, 2), at(1, 3)),
        // Of a term that nobody knows: the highest counts.
        (lost(3, 3, (1, 4)), at(3, 9), at(4, 3)),
        // Nobody knows how many there were: only a log of a later term is surely no shorter.
        (end_unknown(4, 1), at(5, 99), at(6, 1)),
        // In the middle: the end is known.
        (lost(2, 2, (1, 1)), at(1, 2), at(1, 3)),
    ] {
        let mut one = damaged(5, of_term_one(3), vec![faulty]);
        one.now = one.now.plus(election::Micros::from_millis(10_000));
        one.input(Input::Wake);
        assert_eq!(one.replica.status().role, Role::Follower, "{faulty:?} does not stand");
        let pre_vote = Message::PreVote { term: Term(8), last: refused };
        let answer = Message::PreVoteAnswer { term: Term(5), granted: false };
        assert!(one.hear(2, pre_vote).contains(&send(2, answer, 0)), "{faulty:?}");
        assert!(!grants(&one.hear(2, vote(8, refused))), "{faulty:?} {refused:?}");
        assert!(grants(&one.hear(3, vote(9, granted))), "{faulty:?} {granted:?}");
    }
}

/// Traps 11 and 17, F16: lost entries come back from whoever holds the next one whose term is known, a
/// leader or not.
#[test]
fn trap_17_a_lost_entry_comes_back_from_any_log_that_holds_the_next_one() {
    let mut one = damaged(1, of_term_one(5), vec![lost(2, 3, (1, 1))]);
    let (to, id, wanted, anchor) = next_asked(&mut one);
    assert_eq!((wanted, anchor), ((2, 3), at(1, 3)), "its term is known");
    // It does not hold the anchor, and does not lead: nothing follows.
    assert_eq!(ops(&one.hear(to, mended(id, 1, None, None))), Vec::<&Op>::new());
    let (to, id, ..) = next_asked(&mut one);
    // An answer to another question, or of another node, is none.
    let good = || Some(vec![entry(1, 2), entry(1, 3)]);
    assert_eq!(one.hear(5 - to, mended(id, 1, None, good())), []);
    assert_eq!(one.hear(to, mended(id + 1, 1, None, good())), []);
    let effects = one.hear(to, mended(id, 1, None, good()));
    assert_eq!(
        effects[..2],
        [persist(1, Op::Repair(entry(1, 2))), persist(2, Op::Repair(entry(1, 3))),]
    );
    assert_eq!(one.replica.status().faulty, []);
    assert_eq!(one.replica.status().durable, Index(1), "not before it is on the disk again");
    one.sync();
    assert_eq!(one.replica.status().durable, Index(5));
}

/// Log matching within one log: a foreign entry is never put below an own one that is not the
/// leader's. Until it is known the leader's entries wait; when it is known not to be, it is cut first.
#[test]
fn trap_36_no_foreign_entry_is_put_below_an_own_one() {
    let entries = vec![entry(1, 1), entry(1, 2), entry(3, 3)];
    let mut one = damaged(4, entries, vec![lost(2, 2, (1, 3))]);
    // The leader of 5 has (2, 2), which fits the lost one's terms; it may not be that one.
    let effects = one.hear(2, append(5, at(1, 1), 0, vec![entry(2, 2)]));
    assert_eq!(ops(&effects).len(), 1, "the term alone is written: {effects:?}");
    assert!(effects.contains(&send(2, appended(5, 1), 1)));
    let (to, id, wanted, anchor) = asked(&effects).unwrap_or_else(|| next_asked(&mut one));
    assert_eq!((to, wanted, anchor), (2, (2, 2), at(3, 3)), "the leader is asked first");
    let effects = one.hear(2, mended(id, 5, Some(3), None));
    assert_eq!(ops(&effects), [&Op::TruncateAfter(2)], "the own one was never committed");
    assert!(!one.replica.status().faulty.is_empty());
    // Now nothing stands on it, and the leader's takes its place.
    let effects = one.hear(2, append(5, at(1, 1), 0, vec![entry(2, 2), entry(5, 3)]));
    assert_eq!(ops(&effects), [&Op::Repair(entry(2, 2)), &Op::Append(vec![entry(5, 3)])]);
    assert_eq!(one.replica.status().faulty, []);
}

/// F16: the end of the log, and with it the votes that it refuses, does not go back before the
/// leader's entries are there: they are put in, and nothing is cut for being unreadable.
#[test]
fn trap_14_a_lost_end_is_replaced_and_not_cut() {
    let mut one = damaged(2, of_term_one(4), vec![lost(3, 4, (1, 2))]);
    let effects = one.hear(2, append(2, at(1, 2), 0, vec![entry(2, 3)]));
    assert_eq!(ops(&effects), [&Op::Repair(entry(2, 3))]);
    assert_eq!(one.replica.status().last, at(2, 4));
    assert!(!grants(&one.hear(3, vote(9, at(2, 3)))), "4 may have been of term 2 as well");
    // Another entry than the lost one can be: that one was never committed.
    let effects = one.hear(2, append(9, at(2, 3), 0, vec![entry(9, 4)]));
    assert_eq!(ops(&effects)[1..], [&Op::TruncateAfter(3), &Op::Append(vec![entry(9, 4)])]);
    assert_eq!(one.replica.status().faulty, []);
}

/// Trap 10 and 17: what cannot be read is acknowledged to no leader and shown to no fold.
#[test]
fn trap_10_a_lost_entry_is_neither_acknowledged_nor_applied() {
    let mut one = damaged(2, of_term_one(3), vec![lost(2, 2, (1, 1))]);
    let effects = one.hear(2, append(2, at(1, 3), 3, vec![entry(2, 4)]));
    assert!(effects.contains(&send(2, appended(2, 1), 1)), "{effects:?}");
    assert_eq!(commits(&effects), [1]);
    let (_, id, ..) = asked(&effects).unwrap_or_else(|| next_asked(&mut one));
    let effects = one.hear(2, mended(id, 2, Some(4), Some(vec![entry(1, 2)])));
    assert_eq!(commits(&effects), [3]);
    assert!(effects.contains(&send(2, appended(2, 4), 2)), "after the repair: {effects:?}");
}

/// Trap 12: the doubt about the end is over when the log equals a leader's, whose term this disk
/// remembers and who has committed in it, up to an end asked for in this life.
#[test]
fn trap_12_a_doubt_about_the_end_is_settled_by_the_leader_alone() {
    let mut one = damaged(2, of_term_one(2), vec![end_unknown(3, 1)]);
    let (to, id, wanted, _) = next_asked(&mut one);
    assert_eq!(wanted, (1, 0), "nothing but the end");
    assert_eq!(ops(&one.hear(to, mended(id, 2, Some(2), Some(Vec::new())))), Vec::<&Op>::new());
    // Three leads term 3. Its end is known; its entry is not committed yet.
    let effects = one.hear(3, append(3, at(1, 2), 0, vec![entry(3, 3)]));
    let (to, id, ..) = asked(&effects).unwrap_or_else(|| next_asked(&mut one));
    let (to, id) = if to == 3 {
        (to, id)
    } else {
        one.hear(to, mended(id, 2, None, Some(Vec::new())));
        let (to, id, ..) = next_asked(&mut one);
        (to, id)
    };
    assert_eq!(to, 3, "the leader is asked");
    one.hear(3, heartbeat(3, 0, 1));
    let effects = one.hear(3, mended(id, 3, Some(3), Some(Vec::new())));
    assert_eq!(ops(&effects), Vec::<&Op>::new());
    assert!(!grants(&one.hear(2, vote(4, at(2, 9)))));
    let effects = one.hear(3, append(3, at(3, 3), 3, Vec::new()));
    assert_eq!(ops(&effects), [&Op::Settle]);
    assert_eq!(one.replica.status().faulty, []);
}

/// Trap 37: a voter that no longer holds what it acknowledged remembers that, says so, and votes on
/// the strength of nothing; the leader counts it for nothing until it holds all of it again.
#[test]
fn trap_37_a_lost_suffix_is_fenced_on_both_sides() {
    let mut one = damaged(2, vec![entry(2, 1)], Vec::new());
    let effects = one.hear(2, counting_heartbeat(2, 0, 1, 3));
    let regressed = Message::Regressed { term: Term(2), matched: Index(3), end: Index(1) };
    assert_eq!(ops(&effects), [&Op::Doubt]);
    assert!(effects.contains(&send(2, regressed.clone(), 1)));
    assert!(!grants(&one.hear(3, vote(3, at(2, 3)))), "four may have been there as well");
    // A copy of the heartbeat changes nothing more.
    assert_eq!(ops(&one.hear(2, counting_heartbeat(2, 0, 1, 3))), Vec::<&Op>::new());

    let mut leader = One::lead(1, vec![entry(1, 1)]);
    leader.sync();
    assert_eq!(commits(&leader.hear(2, appended(2, 2))), [2]);
    let effects = leader.hear(2, regressed_to(2, 2, 1));
    assert!(effects.iter().any(|effect| matches!(effect,
        Effect::Send { message: Message::Append { previous, .. }, .. } if *previous == at(1, 1))));
    leader.propose(7, b"more");
    leader.sync();
    assert_eq!(commits(&leader.hear(2, appended(2, 1))), [], "less than it had");
    assert_eq!(commits(&leader.hear(2, appended(2, 3))), [3], "all of it, and more");
}

fn regressed_to(term: u64, matched: u64, end: u64) -> Message {
    Message::Regressed { term: Term(term), matched: Index(matched), end: Index(end) }
}

/// Trap 32: a leader that finds that it cannot read its log hands over, and is chosen by nobody.
#[test]
fn trap_32_a_leader_with_a_lost_entry_hands_over() {
    let mut one = One::lead(1, of_term_one(3));
    one.sync();
    for peer in [2, 3] {
        one.hear(peer, appended(2, 4));
    }
    let ranges = vec![lost(2, 2, (1, 1))];
    let effects = one.input(Input::Damaged { ranges: ranges.clone() });
    let over = Message::TimeoutNow { term: Term(2) };
    let told = |to| effects.contains(&send(to, over.clone(), 1));
    assert!(told(2) || told(3), "{effects:?}");
    assert_eq!(one.replica.status().faulty, ranges);
    // As a follower it says with every answer that it is not to lead.
    let effects = one.hear(2, heartbeat(3, 0, 1));
    let fitness = Fitness { draining: true, ..Fitness::default() };
    assert!(effects.iter().any(|effect| matches!(effect,
        Effect::Send { message: Message::HeartbeatAnswer { fitness: found, .. }, .. }
            if *found == fitness)));
}

/// Others are given what can be read, if they hold what the asker holds.
#[test]
fn a_question_is_answered_from_memory_or_the_disk() {
    let mut one = One::new(1, of_term_one(2));
    one.hear(2, append(2, at(1, 2), 0, vec![entry(2, 3), entry(2, 4)]));
    let mend = |first, last, anchor| Message::Mend {
        id: 9,
        first: Index(first),
        last: Index(last),
        anchor,
    };
    let answer = |first, entries| {
        let (id, term, first) = (9, Term(2), Index(first));
        send(3, Message::Mended { id, term, end: None, holds: true, first, entries }, 1)
    };
    assert_eq!(one.hear(3, mend(3, 3, at(2, 4))), [answer(3, vec![entry(2, 3)])]);
    let other = Message::Mended {
        id: 9,
        term: Term(2),
        end: None,
        holds: false,
        first: Index(3),
        entries: Vec::new(),
    };
    assert_eq!(one.hear(3, mend(3, 3, at(1, 4))), [send(3, other, 1)]);
    let effects = one.hear(3, mend(1, 2, at(2, 4)));
    let [Effect::Fetch { fetch, first, last, .. }] = effects[..] else { panic!("{effects:?}") };
    assert_eq!((first, last), (Index(1), Index(2)));
    let fetched = Input::Fetched { fetch, entries: of_term_one(2) };
    assert_eq!(one.input(fetched.clone()), [answer(1, of_term_one(2))]);
    assert_eq!(one.input(fetched), [], "once");
}

/// Two histories are never mended: an anchor that is committed here and not held by a leader stops all.
#[test]
fn a_leader_without_a_committed_entry_is_never_followed() {
    let mut one = damaged(2, of_term_one(3), vec![lost(3, 3, (1, 1))]);
    one.hear(2, append(2, at(1, 2), 0, vec![entry(1, 3), entry(2, 4)]));
    assert_eq!(one.replica.status().faulty, [], "the leader's own word repairs it");
    let found = vec![lost(2, 2, (1, 1))];
    one.hear(2, append(2, at(2, 4), 4, Vec::new()));
    let effects = one.input(Input::Damaged { ranges: found });
    let (to, id, ..) = asked(&effects).unwrap_or_else(|| next_asked(&mut one));
    assert_eq!(to, 2);
    let effects = one.hear(2, mended(id, 2, Some(4), None));
    assert_eq!(effects, [Effect::Halt(Halt::Diverged { at: Index(2) })]);
}

/// A configuration that comes back counts from then on.
#[test]
fn a_configuration_that_comes_back_is_in_force() {
    let mut boot = bound_boot(3, 1, of_term_one(3));
    let mut config = boot.genesis.clone();
    config.target_size = 5;
    let back = Entry::new(2, 1, EntryKind::Config, config.encode().into());
    boot.faulty = vec![lost(2, 2, (1, 1))];
    let mut one = One::boot(boot);
    let event = LinkEvent::Up(voter(2));
    one.input(Input::Link { peer: voter(2).node, event });
    let (to, id, ..) = next_asked(&mut one);
    let effects = one.hear(to, mended(id, 1, None, Some(vec![back.clone()])));
    assert_eq!(effects[..2], [persist(1, Op::Repair(back)), Effect::Config(config.clone())]);
    let status = one.replica.status();
    assert_eq!((status.config, status.config_index), (config, Index(2)));
}
