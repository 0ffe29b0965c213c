//! Each promise to a client can be broken, and keeping it is no violation.

use chat::{
    Accepted, AccountId, Action, Answer, Body, Command, ConversationId, MessageId, Outcome,
    Rejection, RequestId, SessionId, Target,
};

use super::{Did, Ledger};

fn request(number: u64) -> RequestId {
    RequestId::new(1_000 + number, 0)
}

fn send(number: u64) -> Command {
    let action = Action::Send {
        to: Target::channel("lobby"),
        text: "hello".into(),
        reply_to: None,
        after_request: None,
    };
    let body = Body::Act { account: AccountId(1), session: SessionId(1), action };
    Command::new(request(number), body)
}

fn sent(index: u64, seq: u64, repeated: bool) -> Outcome {
    let conversation = ConversationId(3);
    let answer = Answer::Sent { conversation, seq, id: MessageId(index), time_us: index };
    Ok(Accepted { answer, repeated })
}

#[test]
fn a_retry_is_answered_by_the_first_outcome() {
    let mut ledger = Ledger::default();
    assert_eq!(ledger.folded(5, &send(1), sent(5, 1, false)).unwrap(), Did::Effect);
    assert_eq!(ledger.folded(6, &send(1), sent(5, 1, true)).unwrap(), Did::Repeated);
    ledger.acknowledged(request(1), 6, sent(5, 1, true)).unwrap();
}

#[test]
fn a_second_effect_is_a_violation() {
    let mut ledger = Ledger::default();
    ledger.folded(5, &send(1), sent(5, 1, false)).unwrap();
    ledger.folded(6, &send(1), sent(6, 2, false)).unwrap_err();
}

#[test]
fn a_refusal_is_for_good_unless_it_was_out_of_order() {
    let mut ledger = Ledger::default();
    ledger.folded(4, &send(1), Err(Rejection::OutOfOrder)).unwrap();
    ledger.folded(5, &send(1), sent(5, 1, false)).unwrap();
    ledger.folded(6, &send(2), Err(Rejection::NotAMember)).unwrap();
    ledger.folded(7, &send(2), Err(Rejection::NotAMember)).unwrap();
    ledger.folded(8, &send(2), sent(8, 2, false)).unwrap_err();
}

#[test]
fn a_proposal_makes_one_entry_and_none_when_turned_away() {
    let mut ledger = Ledger::default();
    ledger.proposed(request(1));
    ledger.proposed(request(1));
    ledger.committed(request(1)).unwrap();
    ledger.turned_away(request(1)).unwrap();
    ledger.committed(request(1)).unwrap_err();
    ledger.proposed(request(2));
    ledger.committed(request(2)).unwrap();
    ledger.turned_away(request(2)).unwrap_err();
}

#[test]
fn a_gap_in_seq_is_a_violation() {
    let mut ledger = Ledger::default();
    ledger.folded(5, &send(1), sent(5, 1, false)).unwrap();
    ledger.folded(6, &send(2), sent(6, 3, false)).unwrap_err();
}

#[test]
fn a_message_before_its_predecessor_is_a_violation() {
    let mut ledger = Ledger::default();
    ledger.chained(request(1), 0, 1);
    ledger.chained(request(2), 0, 2);
    ledger.folded(5, &send(2), sent(5, 1, false)).unwrap();
    ledger.folded(6, &send(1), sent(6, 2, false)).unwrap_err();
}

#[test]
fn an_acknowledgement_tells_what_happened() {
    let mut ledger = Ledger::default();
    ledger.acknowledged(request(1), 5, sent(5, 1, false)).unwrap_err();
    ledger.folded(5, &send(1), sent(5, 1, false)).unwrap();
    ledger.acknowledged(request(1), 5, sent(5, 2, false)).unwrap_err();
    ledger.acknowledged(request(1), 5, Err(Rejection::NotAMember)).unwrap();
    ledger.acknowledged(request(1), 5, sent(5, 1, false)).unwrap_err();
}
