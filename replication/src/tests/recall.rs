//! What a node does about an end that may be lost while nobody leads: whom it asks, in which term, what
//! it concludes, and what it never does.

use election::{EntryId, Index, Micros, Term};
use wal::{FaultyKind, FaultyRange, Op};

use super::{
    disk::voter,
    one::{One, append, at, bound_boot, entry, heartbeat, persist, send},
};
use crate::{
    Boot, ClusterConfig, Effect, Effects, Input, LinkEvent, Member, Message, Role, Unread,
};

/// What this node was in when it was started, and so the newest term of what it lost.
const TERM: u64 = 5;

fn lost(kind: FaultyKind, first: u64, last: u64, terms: (u64, u64)) -> FaultyRange {
    FaultyRange { first, last, term_min: terms.0, term_max: terms.1, kind }
}

fn suspect(first: u64, last: u64) -> FaultyRange {
    lost(FaultyKind::Suspect, first, last, (1, 1))
}

fn end_unknown(first: u64) -> FaultyRange {
    lost(FaultyKind::EndUnknown, first, u64::MAX, (1, u64::MAX))
}

/// Node 1 of so many, linked to all others, with four entries of term 1, of which these are lost.
fn doubtful(nodes: u64, faulty: Vec<FaultyRange>) -> One {
    let entries = (1..=4).map(|index| entry(1, index)).collect();
    let mut one = One::boot(Boot { faulty, ..bound_boot(nodes, TERM, entries) });
    for peer in 2..=nodes {
        let event = LinkEvent::Up(voter(peer));
        one.input(Input::Link { peer: voter(peer).node, event });
    }
    one
}

/// The newest question: its name and term, and who is asked.
fn asked(effects: &Effects) -> Option<(u64, u64, Vec<u64>)> {
    let questions = effects.iter().filter_map(|effect| match effect {
        Effect::Send { to, message: Message::Recall { id, term }, .. } => {
            Some((*id, term.0, to.node.0))
        }
        _ => None,
    });
    let questions: Vec<_> = questions.collect();
    let &(id, term, _) = questions.last()?;
    let of_it = questions.iter().filter(|question| question.0 == id);
    Some((id, term, of_it.map(|question| question.2).collect()))
}

/// The next question, when it is due.
fn next_asked(one: &mut One) -> (u64, u64, Vec<u64>) {
    for _ in 0..9 {
        one.now = one.now.max(one.replica.deadline());
        if let Some(asked) = asked(&one.input(Input::Wake)) {
            return asked;
        }
    }
    panic!("nobody is asked: {:?}", one.replica.status());
}

fn is_quiet(one: &mut One) -> bool {
    (0..9).all(|_| {
        one.now = one.now.max(one.replica.deadline().min(one.now.plus(Micros(100_000))));
        asked(&one.input(Input::Wake)).is_none()
    })
}

fn answer(one: &One, id: u64, term: u64, readable: EntryId) -> Message {
    answer_in(id, term, readable, (one.replica.status().config_index, &one.replica.status().config))
}

fn answer_in(
    id: u64,
    term: u64,
    readable: EntryId,
    (config_index, config): (Index, &ClusterConfig),
) -> Message {
    let config = config.encode().into();
    Message::Recalled { id, term: Term(term), hears: false, readable, config_index, config }
}

fn hears_a_leader(one: &One, id: u64, term: u64) -> Message {
    let (config_index, config) = (Index(0), one.replica.status().config.encode().into());
    let readable = at(1, 4);
    Message::Recalled { id, term: Term(term), hears: true, readable, config_index, config }
}

fn ops(effects: &Effects) -> Vec<&Op> {
    let ops = effects.iter().filter_map(|effect| match effect {
        Effect::Persist { op, .. } => Some(op),
        _ => None,
    });
    ops.collect()
}

fn new_term(term: u64) -> Op {
    Op::HardState(wal::HardState { term, voted_for: None })
}

fn grants(one: &mut One, term: u64, last: EntryId) -> bool {
    let vote = Message::PreVote { term: Term(term), last };
    one.hear(2, vote).iter().any(|effect| {
        matches!(effect, Effect::Send { message: Message::PreVoteAnswer { granted: true, .. }, .. })
    })
}

/// All others say that they hear nobody, and the node goes to a new term. Gives the question there.
fn in_new_term(one: &mut One) -> (u64, u64, Vec<u64>) {
    let (id, term, others) = next_asked(one);
    let mut effects = Effects::new();
    for node in &others {
        assert_eq!(ops(&effects), Vec::<&Op>::new(), "not before all have answered");
        effects = one.hear(*node, answer(one, id, term, at(1, 2)));
    }
    assert_eq!(ops(&effects), [&new_term(TERM + 1)], "{effects:?}");
    let asked = asked(&effects).expect("it asks again at once");
    assert_eq!((asked.1, &asked.2), (TERM + 1, &others));
    one.sync();
    asked
}

/// Trap 13, design §6: nobody leads and nobody can read what may be lost. It is given up once every
/// voter has said so from a term that is newer than it, and then the node stands like any other.
#[test]
fn trap_13_what_no_voter_can_read_is_given_up_in_a_new_term() {
    for (faulty, cut, readable) in [
        (vec![end_unknown(5)], None, at(1, 4)),
        (vec![suspect(3, 4)], Some(2), at(1, 2)),
        (vec![suspect(3, 4), end_unknown(5)], Some(2), at(1, 2)),
    ] {
        let mut one = doubtful(3, faulty.clone());
        let (id, term, _) = in_new_term(&mut one);
        // From a term in which it may still acknowledge what was lost: not an answer that counts.
        assert_eq!(ops(&one.hear(2, answer(&one, id, TERM, readable))), Vec::<&Op>::new());
        assert_eq!(ops(&one.hear(3, answer(&one, id, term, readable))), Vec::<&Op>::new());
        assert_eq!(one.replica.status().faulty, faulty);
        let effects = one.hear(2, answer(&one, id, term, readable));
        let settles = faulty.contains(&end_unknown(5));
        let mut expected: Vec<Op> = cut.map(Op::TruncateAfter).into_iter().collect();
        expected.extend(settles.then_some(Op::Settle));
        assert_eq!(ops(&effects), expected.iter().collect::<Vec<_>>(), "{faulty:?}");
        let status = one.replica.status();
        assert_eq!((&status.faulty, status.last), (&Vec::new(), readable));
        assert_eq!(status.given_up, Some(readable.index.next()));
        one.sync();
        one.now = one.now.plus(Micros::from_millis(1_000));
        one.input(Input::Wake);
        assert_eq!(one.replica.status().role, Role::PreCandidate);
        assert!(is_quiet(&mut one), "there is nothing left to ask");
    }
}

/// Where another voter reads further, nothing is given up: that voter may have this vote, and nobody
/// whose log ends earlier.
#[test]
fn trap_13_who_reads_furthest_may_be_elected_and_nobody_else() {
    let mut one = doubtful(3, vec![end_unknown(5)]);
    assert!(!grants(&mut one, 9, at(TERM, 99)), "four or more may have been there");
    let (id, term, _) = in_new_term(&mut one);
    one.hear(2, answer(&one, id, term, at(2, 6)));
    assert!(!grants(&mut one, 9, at(2, 7)), "three has not answered yet");
    assert_eq!(ops(&one.hear(3, answer(&one, id, term, at(1, 9)))), Vec::<&Op>::new());
    assert!(!grants(&mut one, 9, at(2, 5)));
    assert!(!grants(&mut one, 9, at(1, 9)));
    assert!(grants(&mut one, 9, at(2, 6)));
    assert_eq!(one.replica.status().faulty, [end_unknown(5)]);
    assert_eq!(one.replica.status().given_up, None);
    assert!(grants(&mut one, 9, at(4, 5)), "a later term has all of it");
    // More is found to be lost: what was concluded before says nothing of that.
    one.input(Input::Damaged { ranges: vec![lost(FaultyKind::Corrupt, 2, 2, (1, 1))] });
    assert!(!grants(&mut one, 9, at(2, 6)));
}

/// F16: what surely was on this disk is never given up, whatever the others can read.
#[test]
fn trap_13_what_was_acknowledged_for_certain_is_not_given_up() {
    for faulty in [
        vec![lost(FaultyKind::Corrupt, 4, 4, (1, 1))],
        vec![lost(FaultyKind::Corrupt, 3, 3, (1, 1)), suspect(4, 4)],
        vec![lost(FaultyKind::Corrupt, 4, 4, (1, 1)), end_unknown(5)],
    ] {
        let mut one = doubtful(3, faulty.clone());
        let (id, term, others) = next_asked(&mut one);
        assert_eq!((term, &others[..]), (TERM, &[2, 3][..]), "it asks to say so");
        for node in others {
            let effects = one.hear(node, answer(&one, id, TERM + 1, at(1, 2)));
            assert_eq!(ops(&effects), Vec::<&Op>::new(), "{faulty:?}");
        }
        let status = one.replica.status();
        assert_eq!((&status.faulty, status.given_up), (&faulty, None));
        assert!(!grants(&mut one, 9, at(1, 3)));
    }
}

/// Below an entry that can be read nothing is given up: it comes back from who holds that.
#[test]
fn only_the_end_is_given_up() {
    let hole = lost(FaultyKind::Corrupt, 2, 2, (1, 1));
    let mut one = doubtful(3, vec![hole, end_unknown(5)]);
    let (id, term, _) = in_new_term(&mut one);
    one.hear(2, answer(&one, id, term, at(1, 4)));
    assert_eq!(ops(&one.hear(3, answer(&one, id, term, at(1, 3)))), [&Op::Settle]);
    assert_eq!(one.replica.status().faulty, [hole]);
    one.now = one.now.plus(Micros::from_millis(1_000));
    one.input(Input::Wake);
    assert_eq!(one.replica.status().role, Role::Follower, "it cannot read all of its log");
}

/// Doubt deposes nobody: while any voter hears a leader no term is begun, and what was answered before
/// one was heard counts no more.
#[test]
fn trap_28_a_doubt_deposes_no_leader() {
    let mut one = doubtful(3, vec![end_unknown(5)]);
    let (id, term, _) = next_asked(&mut one);
    one.hear(2, answer(&one, id, term, at(1, 2)));
    let effects = one.hear(3, hears_a_leader(&one, id, term));
    assert_eq!(ops(&effects), Vec::<&Op>::new());
    // Three is heard from as a leader itself, and then no more.
    one.hear(3, heartbeat(TERM + 1, 0, 1));
    assert!(asked(&one.input(Input::Wake)).is_none());
    assert!(one.replica.deadline() > one.now, "it does not wake again and again meanwhile");
    assert_eq!(ops(&one.hear(3, answer(&one, id, TERM + 1, at(1, 2)))), Vec::<&Op>::new());
    one.now = one.now.plus(Micros::from_millis(1_000));
    let (id, term, _) = next_asked(&mut one);
    assert_eq!(term, TERM + 1);
    let before = one.hear(2, answer(&one, id, term, at(1, 2)));
    assert_eq!(ops(&before), Vec::<&Op>::new(), "three has to answer anew");
    assert_eq!(ops(&one.hear(3, answer(&one, id, term, at(1, 2)))), [&Op::Settle]);
}

/// Who is asked adopts the term before it answers, unless it hears a leader.
#[test]
fn an_answer_waits_for_the_term_and_the_log() {
    let mut one = One::new(1, vec![entry(1, 1)]);
    let (readable, config) = (at(1, 1), one.replica.status().config.encode());
    let recall = |term| Message::Recall { id: 7, term: Term(term) };
    let recalled = |term, hears, readable| Message::Recalled {
        id: 7,
        term: Term(term),
        hears,
        readable,
        config_index: Index(0),
        config: config.clone().into(),
    };
    let effects = one.hear(3, recall(4));
    assert!(effects.contains(&persist(1, new_term(4))), "{effects:?}");
    assert_eq!(effects.last(), Some(&send(3, recalled(4, false, readable), 1)));
    // The entries of a leader are in the log before an answer tells of them.
    one.hear(2, append(4, at(1, 1), 0, vec![entry(4, 2)]));
    assert_eq!(one.hear(3, recall(9)), [send(3, recalled(4, true, at(4, 2)), 2)]);
    let mut leader = One::lead(1, Vec::new());
    let term = leader.replica.status().term.0;
    assert_eq!(leader.hear(3, recall(9)), [send(3, recalled(term, true, at(term, 1)), 2)]);
}

/// Research §3.6: who cannot read its own end says how far it can, and no more.
#[test]
fn a_doubtful_voter_answers_by_what_it_can_read() {
    let mut one = doubtful(3, vec![suspect(3, 4), end_unknown(5)]);
    let effects = one.hear(2, Message::Recall { id: 7, term: Term(9) });
    let said = effects.iter().find_map(|effect| match effect {
        Effect::Send { message: Message::Recalled { readable, term, .. }, .. } => {
            Some((*readable, *term))
        }
        _ => None,
    });
    assert_eq!(said, Some((at(1, 2), Term(9))));
    assert_eq!(one.replica.status().faulty, [suspect(3, 4), end_unknown(5)]);
}

/// Trap 20: the voters are those of the newest configuration that anybody can read; another disk under
/// one's number is nobody.
#[test]
fn trap_20_the_voters_of_the_newest_configuration_are_asked() {
    let mut one = doubtful(3, vec![end_unknown(5)]);
    let mut newest = one.replica.status().config;
    let fourth = voter(4);
    let (peer, client) = ("h:4".to_owned(), "https://h:4".to_owned());
    newest.voters.push(Member { node: fourth.node, store: Some(fourth.store), peer, client });
    let told = |id, term, index| answer_in(id, term, at(1, 2), (Index(index), &newest));
    let (id, term, others) = next_asked(&mut one);
    assert_eq!(others, [2, 3]);
    one.hear(2, told(id, term, 4));
    assert_eq!(ops(&one.hear(3, answer(&one, id, term, at(1, 2)))), Vec::<&Op>::new());
    let (id, term, others) = next_asked(&mut one);
    assert_eq!((term, &others[..]), (TERM, &[2, 3, 4][..]));
    let stranger = election::VoterId { store: voter(9).store, ..fourth };
    assert_eq!(ops(&one.hear_from(stranger, told(id, term, 4))), Vec::<&Op>::new());
    assert_eq!(ops(&one.hear(4, told(id, term, 4))), [&new_term(TERM + 1)]);
    let (id, term, _) = next_asked(&mut one);
    for node in [2, 3] {
        assert_eq!(ops(&one.hear(node, told(id, term, 4))), Vec::<&Op>::new());
    }
    assert_eq!(ops(&one.hear(4, told(id, term, 4))), [&Op::Settle]);
}

/// Of two that are away one may hold it: nothing is concluded without every voter, nor from an answer to
/// another question, nor before the own new term.
#[test]
fn nothing_is_concluded_without_every_voter() {
    let mut one = doubtful(5, vec![suspect(4, 4)]);
    let (id, term, others) = next_asked(&mut one);
    assert_eq!(others, [2, 3, 4, 5]);
    for node in [2, 3, 4] {
        one.hear(node, answer(&one, id, term, at(1, 3)));
    }
    assert_eq!(ops(&one.hear(5, answer(&one, id + 100, term, at(1, 3)))), Vec::<&Op>::new());
    assert_eq!(ops(&one.hear(5, answer(&one, 0, term, at(1, 3)))), Vec::<&Op>::new());
    assert_eq!(one.replica.status().term, Term(TERM));
    assert!(!grants(&mut one, 9, at(1, 3)));
    one.input(Input::Link { peer: voter(5).node, event: LinkEvent::Lost });
    let unread = Unread {
        first: Index(4),
        last: Some(Index(4)),
        asked: [2, 3, 4].map(|node| voter(node).node).to_vec(),
    };
    assert_eq!(one.replica.status().unread, [unread], "no voter that could be asked has it");
}
