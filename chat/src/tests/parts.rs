//! The parts below the fold, each against a plain model of itself.

use std::{string::String, vec::Vec};

use proptest::prelude::*;

use crate::{
    AccountId, Action, Body, ConversationId, Genesis, Login, MessageId, Rejection, State, Window,
    account::ordinal_after,
    conversation::{Conversation, Kind},
    glob::Glob,
    limits::ACCOUNTS_MAX,
    message::{Post, Posts},
    tests::kit::{World, create, send, target},
};

const CONFIG: fn() -> ProptestConfig =
    || ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };

#[test]
fn messages_are_found_across_chunks() {
    // Chunks hold 512: before, at and after one boundary, then two.
    for count in [0, 1, 511, 512, 513, 1024, 1500] {
        let mut posts = Posts::new();
        for seq in 1..=count {
            // Ids 3, 6, 9 ..
            let post = Post { index: 3 * seq, time_us: 10 * seq, author: 0 };
            assert_eq!(posts.push(post, None), seq);
        }
        assert_eq!(posts.last_seq(), count);
        assert_eq!(posts.get(0), None);
        assert_eq!(posts.get(count + 1), None);
        assert_eq!(posts.first_after(0), 1);
        for seq in 1..=count {
            assert_eq!(posts.get(seq).map(|post| { post.index }), Some(3 * seq));
            assert_eq!(posts.seq_of(MessageId(3 * seq)), Some(seq));
            assert_eq!(posts.seq_of(MessageId(3 * seq + 1)), None);
            assert_eq!(posts.first_after(3 * seq - 1), seq);
            assert_eq!(posts.first_after(3 * seq), seq + 1);
        }
    }
}

#[test]
fn a_shared_chunk_is_not_changed_by_what_comes_after() {
    let mut posts = Posts::new();
    for seq in 1..=600 {
        posts.push(Post { index: seq, time_us: seq, author: 0 }, None);
    }
    let kept = posts.clone();
    posts.push(Post { index: 601, time_us: 601, author: 0 }, None);
    assert_eq!((kept.last_seq(), posts.last_seq()), (600, 601));
}

#[test]
fn accounts_are_bounded() {
    assert_eq!(ordinal_after(0), Some(0));
    assert_eq!(ordinal_after(ACCOUNTS_MAX - 1), u32::try_from(ACCOUNTS_MAX - 1).ok());
    assert_eq!(ordinal_after(ACCOUNTS_MAX), None);
}

#[test]
fn entries_that_are_no_commands_only_count() {
    let mut state = State::new(Genesis::default());
    let (hash, time_us) = (state.hash(), state.time_us());
    state.skip(1);
    state.skip(2);
    assert_eq!((state.applied(), state.hash(), state.time_us()), (2, hash, time_us));
}

#[test]
fn a_message_is_built_for_members_and_from_its_own_entry_only() {
    let mut world = World::with(&["alice", "bob", "carol"]);
    world.send("alice", "@bob", "hi").unwrap();
    world.act("alice", send("@bob", ""));
    let state = &world.state;
    let sent = &world.log[3];
    let (bob, carol) = (world.id("bob"), world.id("carol"));
    let place = state.message(bob, MessageId(4)).unwrap();
    let view = state.view(bob, &place, Some(sent)).unwrap();
    let content = view.content.unwrap();
    assert_eq!((&*view.conversation, &*content.author, &*content.text), ("@alice", "alice", "hi"));
    assert_eq!(
        content.time_us,
        state.history(bob, ConversationId(4), Window::Newest, 1).unwrap().items[0].time_us
    );
    assert_eq!(state.message(carol, MessageId(4)), Err(Rejection::NoSuchMessage));
    assert_eq!(state.view(carol, &place, Some(sent)), None);
    assert_eq!(state.message(bob, MessageId(5)), Err(Rejection::NoSuchMessage));
    assert_eq!(state.view(bob, &place, Some(&world.log[0])), None);
    assert_eq!(state.view(bob, &place, None), None);
}

fn window() -> impl Strategy<Value = Window> {
    let seq = || prop_oneof![8 => 0..35_u64, 1 => Just(u64::MAX)];
    prop_oneof![
        Just(Window::Newest),
        seq().prop_map(Window::Before),
        seq().prop_map(Window::After),
        seq().prop_map(Window::Around),
    ]
}

#[test]
fn a_conversation_is_called_by_what_its_reader_knows() {
    let mut world = World::with(&["alice", "bob", "carol"]);
    world.send("alice", "@bob", "hi").unwrap();
    let id = ConversationId(4);
    let label = |world: &World, who| world.state.label(world.id(who), id);
    assert_eq!(label(&world, "alice").as_deref(), Some("@bob"));
    assert_eq!(label(&world, "bob").as_deref(), Some("@alice"));
    assert_eq!(label(&world, "carol"), None);

    // The one who leaves a private channel is told which, on every device.
    let private = Action::CreateChannel { name: "ops".into(), private: true, topic: "".into() };
    world.act("alice", private);
    let left = world.act("alice", Action::Leave { channel: "ops".into() }).event.unwrap();
    assert!(world.state.sees(world.id("alice"), &left));
    assert!(!world.state.sees(world.id("bob"), &left));
    let label = world.state.label(world.id("alice"), ConversationId(5));
    assert_eq!(label.as_deref(), Some("#ops"));
}

#[test]
fn what_is_deleted_is_taken_from_a_count_once() {
    let mut world = World::with(&["alice", "bob"]);
    let sent = |world: &mut World, who: &str, to: &str| {
        world.send(who, to, "x").unwrap();
        MessageId(world.state.applied())
    };
    let delete = |world: &mut World, who: &str, message| {
        world.act(who, Action::Delete { message }).outcome.unwrap();
        world.state.unread(world.id("bob"))
    };
    let (first, second) = (sent(&mut world, "alice", "@bob"), sent(&mut world, "alice", "@bob"));
    // Hidden, then deleted by its author as well.
    assert_eq!(delete(&mut world, "bob", first), 1);
    assert_eq!(delete(&mut world, "alice", first), 1);
    assert_eq!(delete(&mut world, "alice", second), 0);

    // Own ones never count, and a mark that passes a deleted one changes nothing.
    let own: Vec<_> = (0..3).map(|_| sent(&mut world, "bob", "@alice")).collect();
    sent(&mut world, "alice", "@bob");
    assert_eq!(delete(&mut world, "bob", own[0]), 1);
    for (upto, unread) in [(2, 1), (3, 1), (5, 1), (6, 0)] {
        world.act("bob", Action::Mark { to: target("@alice"), upto }).outcome.unwrap();
        assert_eq!(world.state.unread(world.id("bob")), unread, "{upto}");
    }
}

#[test]
fn a_login_needs_the_password_of_now_and_a_token_of_its_own() {
    let mut world = World::with(&["alice", "bob"]);
    let (account, request, token_hash) = (world.id("alice"), world.request(), world.token());
    let body = Body::Login(Login { account, password_generation: 1, token_hash });
    let stale = world.apply(request, body.clone());
    assert_eq!(stale.outcome, Err(Rejection::BadCredentials));
    // That was no outcome of the request: with the right password it goes through.
    world.login_as(request, "alice", token_hash).outcome.unwrap();
    // And its retry is refused again once the password is another one.
    let stale = world.apply(request, body);
    assert_eq!(stale.outcome, Err(Rejection::BadCredentials));

    let request = world.request();
    let stolen = world.login_as(request, "bob", token_hash);
    assert_eq!(stolen.outcome, Err(Rejection::Malformed));
    let (owner, ..) = world.state.session(&token_hash, 0).unwrap();
    assert_eq!(owner, account);
}

/// Does `name` match, by the definition, in exponential time?
fn matches_slowly(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern, name) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => (0..=name.len()).any(|at| matches_slowly(rest, &name[at..])),
        ([b'?', rest @ ..], [_, name @ ..]) => matches_slowly(rest, name),
        ([one, rest @ ..], [other, name @ ..]) if one == other => matches_slowly(rest, name),
        _ => false,
    }
}

#[test]
fn sets_in_patterns() {
    for (pattern, name, expected) in [
        ("[abc]", "b", true),
        ("[abc]", "d", false),
        ("[!abc]", "d", true),
        ("[^abc]", "a", false),
        ("[a-c]x", "cx", true),
        ("[a-]", "-", true),
        ("[]]", "]", true),
        ("[!]]", "a", true),
        ("x[0-9]*y", "x1y", true),
        ("x[0-9]*y", "xay", false),
        ("[A-C]", "b", true),
    ] {
        assert_eq!(Glob::parse(pattern).unwrap().matches(name), expected, "{pattern} {name}");
    }
    for wrong in ["[", "[]", "[a", "[!]", "[a-"] {
        assert!(Glob::parse(wrong).is_err(), "{wrong}");
    }
}

proptest! {
    #![proptest_config(CONFIG())]

    #[test]
    fn patterns_match_as_defined(pattern in "[ab*?]{1,8}", name in "[ab]{0,8}") {
        let glob = Glob::parse(&pattern).unwrap();
        let expected = matches_slowly(pattern.as_bytes(), name.as_bytes());
        prop_assert_eq!(glob.matches(&name), expected);
        prop_assert!(!expected || name.starts_with(glob.literal_prefix()));
    }

    #[test]
    fn any_pattern_is_judged(pattern: String, name in "[a-z0-9.-]{0,32}") {
        if let Ok(glob) = Glob::parse(&pattern) {
            glob.matches(&name);
        }
    }

    #[test]
    fn a_page_is_a_slice_of_the_whole(
        count in 0..30_u64,
        window in window(),
        limit in 1..12_usize,
    ) {
        let mut world = World::with(&["alice", "bob"]);
        world.act("alice", create("ops"));
        for _ in 0..count {
            world.send("alice", "#ops", "x").unwrap();
        }
        let page =
            world.state.history_with(world.id("alice"), &target("#ops"), window, limit).unwrap();
        let seqs: Vec<_> = page.items.iter().map(|item| item.seq).collect();
        let all: Vec<_> = (1..=count).collect();
        let size = limit.min(all.len());
        let expected: Vec<_> = match window {
            Window::Newest => all[all.len() - size..].to_vec(),
            Window::Before(end) => {
                let before: Vec<_> = all.iter().copied().filter(|seq| *seq < end).collect();
                before[before.len().saturating_sub(limit)..].to_vec()
            }
            Window::After(start) => {
                all.iter().copied().filter(|seq| *seq > start).take(limit).collect()
            }
            Window::Around(seq) => {
                // As many as fit, with the wanted one among them if it is there.
                prop_assert_eq!(seqs.len(), size);
                prop_assert!(!all.contains(&seq) || seqs.contains(&seq), "{:?}", seqs);
                seqs.clone()
            }
        };
        prop_assert_eq!(&seqs, &expected);
        prop_assert_eq!(page.first, seqs.first().copied().unwrap_or(0));
        prop_assert_eq!(page.last, seqs.last().copied().unwrap_or(0));
        if let (Some(first), Some(last)) = (seqs.first(), seqs.last()) {
            prop_assert_eq!((page.more_before, page.more_after), (*first > 1, *last < count));
        }
    }

    /// Chunks hold 512, words of their bits 64: the counts around those are what may go wrong.
    #[test]
    fn deleted_messages_are_counted_across_chunks(
        gone in prop::collection::btree_set(1..1_300_u64, 0..200),
        dense in 0..1_300_u64,
    ) {
        let mut posts = Posts::new();
        for seq in 1..=1_300 {
            let reply_to = (seq > 1).then(|| MessageId(seq - 1));
            posts.push(Post { index: seq, time_us: seq, author: u32::try_from(seq % 3).unwrap() }, reply_to);
        }
        // All of one author from somewhere on as well.
        let gone_too = (dense.max(1)..=1_300).filter(|seq| seq % 3 == 1);
        let count = u64::try_from(gone_too.clone().count()).unwrap();
        if let Some(first) = gone_too.clone().next() {
            posts.delete_by(1, first, count);
        }
        let gone: std::collections::BTreeSet<_> = gone.into_iter().chain(gone_too).collect();
        for &seq in &gone {
            let was_gone = posts.is_gone(seq);
            prop_assert_eq!(posts.delete(seq), !was_gone);
        }
        for seq in 0..=1_301 {
            prop_assert_eq!(posts.is_gone(seq), gone.contains(&seq));
            let after = u64::try_from(gone.range(seq + 1..).count()).unwrap();
            prop_assert_eq!(posts.gone_after(seq), after, "after {}", seq);
            let reply_to = (2..=1_300).contains(&seq) && !gone.contains(&seq);
            prop_assert_eq!(posts.reply_to(seq).is_some(), reply_to);
        }
    }

    /// Steps of 0 and 1 are sends of the two members, a higher one is a mark of the first member.
    #[test]
    fn unread_is_what_others_wrote_after_the_mark(steps in prop::collection::vec(0..40_u64, 0..200)) {
        let (reader, other) = (AccountId(1), AccountId(2));
        let mut conversation = Conversation::new(Kind::Direct(reader, other));
        conversation.join(reader, 1);
        conversation.join(other, 1);
        let (mut authors, mut mark) = (Vec::new(), 0);
        for step in steps {
            let last = u64::try_from(authors.len()).unwrap();
            if step < 20 {
                let author = u32::try_from(step % 2).unwrap();
                let post = Post { index: last + 2, time_us: last + 2, author };
                conversation.post(if author == 0 { reader } else { other }, post, None);
                authors.push(author);
            } else {
                let upto = mark + (step - 20) / 2;
                mark = upto.min(last);
                prop_assert_eq!(conversation.mark(reader, 0, upto).unwrap().0, mark);
            }
            let after = authors.iter().skip(usize::try_from(mark).unwrap());
            let expected = after.filter(|author| **author == 1).count();
            let unread = conversation.unread(&conversation.members[&reader], core::iter::empty());
            prop_assert_eq!(unread, u64::try_from(expected).unwrap());
        }
    }
}
