//! Request ids: at most once, whatever is retried, late, early, or out of order.

use std::{format, vec::Vec};

use crate::{
    Accepted, Action, Answer, Rejection, RequestId,
    limits::{
        DAY_US, REQUEST_AHEAD_US_MAX, REQUESTS_MAX, SECOND_US, SWEEP_EVERY, SWEPT_REQUESTS_MAX,
        TOKENS_PER_SESSION_MAX,
    },
    tests::kit::{World, send, send_after, seq},
};

#[test]
fn a_retry_gets_the_first_outcome_and_does_nothing() {
    let mut world = World::with(&["alice", "bob"]);
    let request = world.request();
    let first = world.act_as(request, "alice", send("@bob", "hi"));
    world.send("bob", "@alice", "hello").unwrap();
    world.clock_us += DAY_US / 2;
    let again = world.act_as(request, "alice", send("@bob", "hi"));
    assert_eq!(first.outcome.unwrap().answer, again.outcome.unwrap().answer);
    assert!(!first.outcome.unwrap().repeated);
    assert!(again.outcome.unwrap().repeated);
    assert_eq!(again.event, None);
    assert_eq!(seq(world.send("alice", "@bob", "next")), Ok((3, false)));
}

#[test]
fn a_refusal_is_remembered() {
    let mut world = World::with(&["alice"]);
    let request = world.request();
    let refused = world.act_as(request, "alice", send("@bob", "hi"));
    assert_eq!(refused.outcome, Err(Rejection::NoSuchUser));
    world.register("bob");
    let again = world.act_as(request, "alice", send("@bob", "hi"));
    assert_eq!(again.outcome, Err(Rejection::NoSuchUser));
    assert_eq!(seq(world.send("alice", "@bob", "hi")), Ok((1, false)));
}

#[test]
fn the_same_id_with_another_body_is_a_conflict() {
    let mut world = World::with(&["alice", "bob"]);
    let request = world.request();
    world.act_as(request, "alice", send("@bob", "hi"));
    for action in [send("@bob", "ho"), Action::Join { channel: "general".into() }] {
        let applied = world.act_as(request, "alice", action);
        assert_eq!(applied.outcome, Err(Rejection::RequestIdConflict));
    }
    // Ids are each account's own.
    let other = world.act_as(request, "bob", send("@alice", "hi"));
    assert_eq!(seq(other.outcome), Ok((2, false)));
}

#[test]
fn an_id_is_judged_by_log_time_at_both_edges() {
    let mut world = World::with(&["alice", "bob"]);
    world.clock_us += 2 * DAY_US;
    let now_us = world.clock_us;
    for (time_us, expected) in [
        (now_us + REQUEST_AHEAD_US_MAX, None),
        (now_us + REQUEST_AHEAD_US_MAX + 1_000, Some(Rejection::RequestIdAhead)),
        (now_us - DAY_US, None),
        (now_us - DAY_US - 1_000, Some(Rejection::RequestIdExpired)),
    ] {
        world.clock_us = now_us;
        let mut fresh = world.clone();
        let request = fresh.request_at(time_us);
        let applied = fresh.act_as(request, "alice", send("@bob", "hi"));
        assert_eq!(applied.outcome.err(), expected, "{}", now_us.abs_diff(time_us));
    }
}

#[test]
fn an_outcome_is_forgotten_only_when_its_id_is_refused() {
    let mut world = World::with(&["alice", "bob"]);
    let request = world.request();
    world.act_as(request, "alice", send("@bob", "hi"));
    world.clock_us += DAY_US;
    let last = world.act_as(request, "alice", send("@bob", "hi"));
    assert_eq!(seq(last.outcome), Ok((1, true)));
    world.clock_us += 1_000;
    let late = world.act_as(request, "alice", send("@bob", "hi"));
    assert_eq!(late.outcome, Err(Rejection::RequestIdExpired));
    assert_eq!(seq(world.send("alice", "@bob", "next")), Ok((2, false)));
}

#[test]
fn what_is_too_old_leaves_memory_a_bounded_piece_at_a_time() {
    let mut world = World::with(&["alice", "bob"]);
    let old = 10 * SWEPT_REQUESTS_MAX;
    for _ in 0..old {
        world.send("alice", "@bob", "x").unwrap();
    }
    let remembered = |world: &World| {
        let alice = world.state.accounts.get(world.id("alice")).unwrap();
        alice.requests.len()
    };
    assert_eq!(remembered(&world), 1 + old);
    world.clock_us += DAY_US + SECOND_US;
    // Alice is gone; Bob goes on, and each of his messages makes a little room.
    let mut before = remembered(&world);
    let turns = u64::try_from(2 * old / SWEPT_REQUESTS_MAX).unwrap();
    for _ in 0..turns * SWEEP_EVERY {
        world.send("bob", "@alice", "x").unwrap();
        let after = remembered(&world);
        assert!(before - after <= SWEPT_REQUESTS_MAX, "{before} {after}");
        before = after;
    }
    assert_eq!(before, 0);
}

#[test]
fn ids_ahead_are_not_remembered() {
    let mut world = World::with(&["alice", "bob"]);
    let request = world.request_at(world.clock_us + 20 * SECOND_US);
    let early = world.act_as(request, "alice", send("@bob", "hi"));
    assert_eq!(early.outcome, Err(Rejection::RequestIdAhead));
    world.clock_us += 11 * SECOND_US;
    let later = world.act_as(request, "alice", send("@bob", "hi"));
    assert_eq!(seq(later.outcome), Ok((1, false)));
}

#[test]
fn a_chain_keeps_its_order_whatever_is_lost() {
    let mut world = World::with(&["alice", "bob"]);
    let ids: Vec<_> = (0..4).map(|_| world.request()).collect();
    let message = |at: usize| match at {
        0 => send("@bob", "0"),
        at => send_after("@bob", &format!("{at}"), ids[at - 1]),
    };
    assert_eq!(seq(world.act_as(ids[0], "alice", message(0)).outcome), Ok((1, false)));
    // The second is lost on its way: none after it gets in, and none of that is remembered.
    for at in [2, 3] {
        let applied = world.act_as(ids[at], "alice", message(at));
        assert_eq!(applied.outcome, Err(Rejection::OutOfOrder));
    }
    for (at, expected) in [(0, (1, true)), (1, (2, false)), (2, (3, false)), (3, (4, false))] {
        assert_eq!(seq(world.act_as(ids[at], "alice", message(at)).outcome), Ok(expected));
    }
}

#[test]
fn a_chain_goes_on_after_a_refusal_and_after_what_is_below_the_floor() {
    let mut world = World::with(&["alice", "bob"]);
    let refused = world.request();
    world.act_as(refused, "alice", send("@bob", ""));
    let applied = world.act("alice", send_after("@bob", "1", refused));
    assert_eq!(seq(applied.outcome), Ok((1, false)));
    let ancient = world.request_at(world.clock_us - DAY_US - 1_000);
    let applied = world.act("alice", send_after("@bob", "2", ancient));
    assert_eq!(seq(applied.outcome), Ok((2, false)));
    let own = world.request();
    let applied = world.act_as(own, "alice", send_after("@bob", "3", own));
    assert_eq!(applied.outcome, Err(Rejection::OutOfOrder));
    // Another account's request settles nothing.
    let of_bob = world.request();
    world.act_as(of_bob, "bob", send("@alice", "4"));
    let applied = world.act("alice", send_after("@bob", "5", of_bob));
    assert_eq!(applied.outcome, Err(Rejection::OutOfOrder));
}

#[test]
fn at_the_cap_the_lowest_id_goes_and_is_never_carried_out_again() {
    let mut world = World::with(&["alice", "bob"]);
    // The registration is the first that is remembered.
    let ids: Vec<_> = (1..REQUESTS_MAX).map(|_| world.request()).collect();
    for &id in &ids {
        world.act_as(id, "alice", send("@bob", "x")).outcome.unwrap();
    }
    let kept = world.act_as(ids[0], "alice", send("@bob", "x"));
    assert_eq!(seq(kept.outcome), Ok((1, true)));

    // Two more push out the registration and the first message, although they were used last.
    for _ in 0..2 {
        world.send("alice", "@bob", "more").unwrap();
    }
    let dropped = world.act_as(ids[0], "alice", send("@bob", "x"));
    assert_eq!(dropped.outcome, Err(Rejection::RequestIdExpired));
    let kept = world.act_as(ids[1], "alice", send("@bob", "x"));
    assert_eq!(seq(kept.outcome), Ok((2, true)));
    // An id that was never used, but lies below what was dropped, could have been.
    let never_used = RequestId::new(world.clock_us / 1_000, 0);
    let refused = world.act_as(never_used, "alice", send("@bob", "x"));
    assert_eq!(refused.outcome, Err(Rejection::RequestIdExpired));
    // And it settles what comes after it.
    let applied = world.act("alice", send_after("@bob", "after", ids[0]));
    applied.outcome.unwrap();
}

#[test]
fn a_request_survives_a_new_login() {
    let mut world = World::with(&["alice", "bob"]);
    let request = world.request();
    let (_, session) = world.people["alice"];
    world.act("alice", Action::Logout { session });
    // The session is gone: refused, but not for good.
    let refused = world.act_as(request, "alice", send("@bob", "hi"));
    assert_eq!(refused.outcome, Err(Rejection::SessionEnded));
    world.login("alice");
    let sent = world.act_as(request, "alice", send("@bob", "hi"));
    assert_eq!(seq(sent.outcome), Ok((1, false)));
}

#[test]
fn a_repeated_login_opens_the_same_session_with_a_fresh_token() {
    let mut world = World::with(&["alice"]);
    let request = world.request();
    let tokens: Vec<_> = (0..=TOKENS_PER_SESSION_MAX).map(|_| world.token()).collect();
    let mut sessions = Vec::new();
    for &token in &tokens {
        let accepted = world.login_as(request, "alice", token).outcome.unwrap();
        let Answer::LoggedIn { session, .. } = accepted.answer else { panic!("{accepted:?}") };
        assert_eq!(accepted.repeated, !sessions.is_empty());
        sessions.push(session);
        assert_eq!(world.state.session(&token, world.clock_us).unwrap().1, session);
    }
    sessions.dedup();
    assert_eq!(sessions.len(), 1);
    // One more than fit: the first token opens it no longer, the others do.
    let opens = |token| world.state.session(token, world.clock_us).is_some();
    assert!(!opens(&tokens[0]));
    assert!(tokens[1..].iter().all(opens));

    world.act("alice", Action::Logout { session: sessions[0] });
    assert!(tokens.iter().all(|token| world.state.session(token, world.clock_us).is_none()));
    let token = world.token();
    let refused = world.login_as(request, "alice", token).outcome;
    assert_eq!(refused, Err(Rejection::SessionEnded));
    assert_eq!(world.state.session(&token, world.clock_us), None);
}

#[test]
fn a_repeated_registration_makes_one_account_and_a_token_that_works() {
    let mut world = World::new();
    let request = world.request();
    let (first, second) = (world.token(), world.token());
    let made = world.register_as(request, "alice", Some(super::kit::OWNER_TOKEN), first);
    let again = world.register_as(request, "alice", Some(super::kit::OWNER_TOKEN), second);
    let (made, again) = (made.outcome.unwrap(), again.outcome.unwrap());
    assert_eq!(again, Accepted { repeated: true, ..made });
    for token in [first, second] {
        assert!(world.state.session(&token, world.clock_us).is_some());
    }
    // Another password, another invite, another request: not the same registration.
    let token = world.token();
    let other = world.register_as(request, "alice", None, token).outcome;
    assert_eq!(other, Err(Rejection::RequestIdConflict));
    let fresh = world.request();
    let other = world.register_as(fresh, "alice", None, token).outcome;
    assert_eq!(other, Err(Rejection::NameTaken));
    assert_eq!(world.state.session(&token, world.clock_us), None);
}

#[test]
fn only_uuids_of_version_7_are_request_ids() {
    let id = RequestId::new(0x0123_4567_89ab, u128::MAX);
    let text = "01234567-89ab-7fff-bfff-ffffffffffff";
    assert_eq!(format!("{id}"), text);
    assert_eq!(RequestId::parse(text), Ok(id));
    assert_eq!(RequestId::parse(&text.to_uppercase()), Ok(id));
    assert_eq!(RequestId::parse(&text.replace('-', "")), Ok(id));
    assert_eq!(id.time_us(), 0x0123_4567_89ab * 1_000);
    for wrong in [
        "",
        "01234567-89ab-4fff-bfff-ffffffffffff",
        "01234567-89ab-7fff-7fff-ffffffffffff",
        "01234567-89ab-7fff-bfff-fffffffffff",
        "01234567-89ab-7fff-bfff-ffffffffffff0",
        "0123456-789ab-7fff-bfff-ffffffffffff",
        "01234567-89ab-7fff-bfff-fffffffffffg",
        "{01234567-89ab-7fff-bfff-ffffffffffff}",
    ] {
        assert_eq!(RequestId::parse(wrong), Err(Rejection::RequestIdMalformed), "{wrong}");
    }
}
