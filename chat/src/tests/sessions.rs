//! Sessions, their tokens, and the password behind them: what ends what.

use std::{string::String, vec::Vec};

use crate::{
    Action, Answer, Rejection, SessionId, TokenHash,
    limits::SECOND_US,
    tests::kit::{PHC, World, send},
};

fn set_password(password_generation: u32, password_hash: &str) -> Action {
    Action::SetPassword { password_generation, password_hash: password_hash.into() }
}

fn delete_account(password_generation: u32) -> Action {
    Action::DeleteAccount { password_generation, erase_messages: false }
}

fn opens(world: &World, token: TokenHash) -> bool {
    world.state.session(&token, 0).is_some()
}

#[test]
fn a_session_takes_all_its_tokens_with_it() {
    let mut world = World::with(&["alice"]);
    let (login, own, short) = (world.request(), world.token(), world.token());
    world.login_as(login, "alice", own).outcome.unwrap();
    world.act("alice", Action::OpenToken { token_hash: short }).outcome.unwrap();
    assert!(opens(&world, own) && opens(&world, short));
    let (account, session) = world.people["alice"];
    world.act("alice", Action::Logout { session }).outcome.unwrap();
    assert!(!opens(&world, own) && !opens(&world, short));
    // The session of the registration is left, with its token.
    assert_eq!(world.state.sessions(account, 0).len(), 1);
    assert_eq!(world.state.tokens.len(), 1);
}

#[test]
fn a_token_opens_one_session() {
    let mut world = World::with(&["alice", "bob"]);
    let (request, own) = (world.request(), world.token());
    world.login_as(request, "bob", own).outcome.unwrap();
    let stolen = world.act("alice", Action::OpenToken { token_hash: own }).outcome;
    assert_eq!(stolen, Err(Rejection::Malformed));
    let (account, ..) = world.state.session(&own, 0).unwrap();
    assert_eq!(account, world.id("bob"));
}

#[test]
fn a_repeated_access_token_is_fresh_and_ends_when_the_first_does() {
    let mut world = World::with(&["alice"]);
    let (request, first, second) = (world.request(), world.token(), world.token());
    let open = |token_hash| Action::OpenToken { token_hash };
    let opened = world.act_as(request, "alice", open(first)).outcome.unwrap();
    world.clock_us += 60 * SECOND_US;
    let again = world.act_as(request, "alice", open(second)).outcome.unwrap();
    assert!(again.repeated);
    assert_eq!(again.answer, opened.answer);
    let Answer::TokenOpened { expires_us, .. } = again.answer else { panic!("{again:?}") };
    for token in [first, second] {
        assert!(world.state.session(&token, expires_us - 1).is_some());
        assert!(world.state.session(&token, expires_us).is_none());
    }
    // The same attempt proposed twice.
    assert_eq!(world.act_as(request, "alice", open(second)).outcome, Ok(again));
    // From another session it opens nothing.
    world.login("alice").outcome.unwrap();
    let third = world.token();
    let elsewhere = world.act_as(request, "alice", open(third)).outcome;
    assert_eq!(elsewhere, Err(Rejection::SessionEnded));
    assert!(!opens(&world, third));
}

#[test]
fn a_new_password_leaves_the_acting_session_alone() {
    let mut world = World::with(&["alice"]);
    let (login, own, short) = (world.request(), world.token(), world.token());
    world.login_as(login, "alice", own).outcome.unwrap();
    world.act("alice", Action::OpenToken { token_hash: short }).outcome.unwrap();
    let changed = world.act("alice", set_password(0, "$new")).outcome.unwrap();
    assert_eq!(changed.answer, Answer::PasswordSet);
    let (account, acting) = world.people["alice"];
    let left: Vec<SessionId> =
        world.state.sessions(account, 0).iter().map(|session| session.id).collect();
    assert_eq!(left, [acting]);
    assert!(opens(&world, own) && opens(&world, short));
    let known = world.state.password_hash("alice").unwrap();
    assert_eq!((known.phc, known.generation), ("$new", 1));
    // What is no hash changes nothing, and neither does who knew only the old password.
    for (generation, phc, why) in [
        (1, "clear text", Rejection::Malformed),
        (0, PHC, Rejection::BadCredentials),
        (2, PHC, Rejection::BadCredentials),
    ] {
        assert_eq!(world.act("alice", set_password(generation, phc)).outcome, Err(why), "{phc}");
    }
    assert_eq!(world.state.password_hash("alice").unwrap().phc, "$new");
}

#[test]
fn a_retry_may_name_another_password_than_the_first_attempt() {
    let mut world = World::with(&["alice"]);
    let request = world.request();
    let first = world.act_as(request, "alice", set_password(0, "$new")).outcome.unwrap();
    let again = world.act_as(request, "alice", set_password(1, "$new")).outcome.unwrap();
    assert_eq!((again.answer, again.repeated), (first.answer, true));
    assert_eq!(world.state.password_hash("alice").unwrap().generation, 1);
    let other = world.act_as(request, "alice", set_password(1, "$other")).outcome;
    assert_eq!(other, Err(Rejection::RequestIdConflict));
}

#[test]
fn of_a_deleted_account_little_is_left() {
    let mut world = World::with(&["alice", "bob"]);
    let (sent, leaving) = (world.request(), world.request());
    world.act_as(sent, "alice", send("@bob", "hi")).outcome.unwrap();
    world.act("alice", Action::OpenToken { token_hash: [9; 32] }).outcome.unwrap();
    let gone = world.act_as(leaving, "alice", delete_account(0)).outcome.unwrap();
    let account = world.state.accounts.get(world.id("alice")).unwrap();
    assert_eq!(account.password_hash, String::new());
    assert!(account.sessions.is_empty() && account.conversations.is_empty());
    assert!(account.hidden.is_empty() && account.wrote.is_empty());
    assert!(world.state.tokens.values().all(|(account, _)| *account == world.id("bob")));

    // What was done is answered as done, however often it comes; nothing more is.
    let again = world.act_as(leaving, "alice", delete_account(0)).outcome.unwrap();
    assert_eq!((again.answer, again.repeated), (gone.answer, true));
    assert!(world.act_as(sent, "alice", send("@bob", "hi")).outcome.unwrap().repeated);
    assert_eq!(world.send("alice", "@bob", "more"), Err(Rejection::SessionEnded));
    assert_eq!(world.state.unread(world.id("bob")), 1);
    // Not even with the password of the generation that follows.
    let (account, request, token_hash) = (world.id("alice"), world.request(), world.token());
    for password_generation in [0, 1] {
        let login = crate::Login { account, password_generation, token_hash };
        let refused = world.apply(request, crate::Body::Login(login)).outcome;
        assert_eq!(refused, Err(Rejection::BadCredentials));
    }
}
