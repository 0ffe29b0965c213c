//! The chat once more, as plainly as it can be said: lists that are searched from end to end, texts
//! that are kept, counts that are counted. It is told what each command came to, and knows what
//! everyone must then be able to read.

use std::{
    collections::{BTreeMap, BTreeSet},
    string::String,
    vec::Vec,
};

use crate::{
    Accepted, AccountId, Action, Answer, Body, Command, Content, ConversationId, DELETED_USER,
    InboxItem, MessageId, Outcome, Posted, SessionId, State, Target, TokenHash, Window,
    limits::{ACCESS_TOKEN_LIFETIME_US, PAGE_MAX},
};

#[derive(Debug, Default)]
pub(super) struct Model {
    /// Every name ever given, and whether its account is deleted.
    accounts: BTreeMap<AccountId, (String, bool)>,
    sessions: BTreeSet<(AccountId, SessionId)>,
    /// What opens which session.
    tokens: BTreeMap<TokenHash, (AccountId, SessionId)>,
    messages: Vec<Message>,
    /// How far each member has read.
    members: BTreeMap<(ConversationId, AccountId), u64>,
    /// Messages by others that an account has deleted for itself.
    hidden: BTreeSet<(AccountId, MessageId)>,
    bodies: BTreeMap<u64, Command>,
}

#[derive(Debug)]
struct Message {
    id: MessageId,
    conversation: ConversationId,
    author: AccountId,
    /// None when it is deleted for everyone.
    text: Option<String>,
    edited: bool,
    reply_to: Option<MessageId>,
}

impl Model {
    /// The entry at `index` came to this.
    pub(super) fn learn(&mut self, index: u64, command: &Command, outcome: Outcome) {
        self.bodies.insert(index, command.clone());
        let Ok(Accepted { answer, repeated }) = outcome else { return };
        match command.body() {
            Body::Register(register) => {
                if let Answer::Registered { account, session, .. } = answer {
                    self.tokens.insert(register.token_hash, (account, session));
                    if !repeated {
                        let is_new = self.accounts.values().all(|(name, _)| *name != register.name);
                        assert!(is_new, "{} is given once", register.name);
                        self.accounts.insert(account, (register.name.clone(), false));
                        self.sessions.insert((account, session));
                    }
                }
            }
            Body::Login(login) => {
                if let Answer::LoggedIn { account, session, .. } = answer {
                    self.tokens.insert(login.token_hash, (account, session));
                    self.sessions.insert((account, session));
                }
            }
            Body::Act { account, session, action } => {
                if let (Action::OpenToken { token_hash }, Answer::TokenOpened { session, .. }) =
                    (action, answer)
                {
                    self.tokens.insert(*token_hash, (*account, session));
                }
                if !repeated {
                    self.learn_act((*account, *session), action, answer);
                }
            }
        }
    }

    fn learn_act(
        &mut self,
        (account, session): (AccountId, SessionId),
        action: &Action,
        answer: Answer,
    ) {
        match answer {
            Answer::LoggedOut { session } => {
                self.sessions.remove(&(account, session));
            }
            Answer::ChannelCreated { conversation } | Answer::Joined { conversation } => {
                self.join(conversation, account);
            }
            Answer::Invited { conversation, account } => self.join(conversation, account),
            Answer::Left { conversation } => {
                self.members.remove(&(conversation, account));
            }
            Answer::Sent { conversation, id, .. } => self.send(account, conversation, id, action),
            Answer::Marked { conversation, upto } => {
                self.members.insert((conversation, account), upto);
            }
            Answer::Edited { id, .. } => {
                let Action::Edit { text, .. } = action else { panic!("{action:?}") };
                let message = self.message(id);
                assert_eq!(message.author, account, "only the author edits");
                assert!(message.text.is_some(), "what is deleted is not edited");
                (message.text, message.edited) = (Some(text.clone()), true);
            }
            Answer::Deleted { id, only_for_me, .. } => {
                let message = self.message(id);
                if message.author == account {
                    assert!(!only_for_me);
                    message.text = None;
                } else {
                    assert_eq!(only_for_me, message.text.is_some());
                    self.hidden.insert((account, id));
                }
            }
            Answer::PasswordSet => {
                self.sessions.retain(|&(who, kept)| who != account || kept == session);
            }
            Answer::AccountDeleted { account: deleted } => {
                assert_eq!(deleted, account);
                self.leave_for_good(account, action);
            }
            Answer::Registered { .. }
            | Answer::LoggedIn { .. }
            | Answer::SettingChanged
            | Answer::TokenOpened { .. } => {}
        }
    }

    fn join(&mut self, conversation: ConversationId, account: AccountId) {
        let last = u64::try_from(self.of(conversation).count()).unwrap();
        self.members.entry((conversation, account)).or_insert(last);
    }

    fn send(
        &mut self,
        author: AccountId,
        conversation: ConversationId,
        id: MessageId,
        action: &Action,
    ) {
        let Action::Send { to, text, reply_to, .. } = action else { panic!("{action:?}") };
        if conversation.0 == id.0 {
            // The first message of a direct conversation makes it.
            let Target::User(name) = to else { panic!("{to}") };
            let other = self.accounts.iter().find(|(_, (known, _))| name == known);
            let other = *other.unwrap().0;
            assert!(!self.accounts[&other].1, "nobody writes to a deleted account");
            self.members.insert((conversation, author), 0);
            self.members.insert((conversation, other), 0);
        }
        self.messages.push(Message {
            id,
            conversation,
            author,
            text: Some(text.clone()),
            edited: false,
            reply_to: *reply_to,
        });
    }

    fn leave_for_good(&mut self, account: AccountId, action: &Action) {
        let Action::DeleteAccount { erase_messages, .. } = action else { panic!("{action:?}") };
        self.accounts.get_mut(&account).unwrap().1 = true;
        self.sessions.retain(|(who, _)| *who != account);
        self.members.retain(|(_, who), _| *who != account);
        for message in self.messages.iter_mut().filter(|message| message.author == account) {
            message.text = message.text.take().filter(|_| !erase_messages);
        }
    }

    fn message(&mut self, id: MessageId) -> &mut Message {
        self.messages.iter_mut().find(|message| message.id == id).unwrap()
    }

    fn of(&self, conversation: ConversationId) -> impl Iterator<Item = &Message> {
        self.messages.iter().filter(move |message| message.conversation == conversation)
    }

    /// The state says the same.
    pub(super) fn check(&self, state: &State) {
        for (&account, (name, deleted)) in &self.accounts {
            let view = state.account_named(name).unwrap();
            assert_eq!((view.id, view.deleted), (account, *deleted));
            assert_eq!(state.password_hash(name).is_none(), *deleted);
            self.check_reader(state, account);
        }
        self.check_tokens(state);
    }

    /// A token opens a session that is there, or nothing.
    fn check_tokens(&self, state: &State) {
        for token in (0..32_u8).map(|byte| [byte; 32]) {
            if let Some((account, id, view)) = state.session(&token, 0) {
                assert_eq!(self.tokens.get(&token), Some(&(account, id)));
                assert!(self.sessions.contains(&(account, id)), "{account} {id} has ended");
                assert!(!self.accounts[&account].1, "{account} is deleted");
                let is_access = view.expires_us <= state.time_us() + ACCESS_TOKEN_LIFETIME_US;
                assert!(is_access || state.sessions(account, 0).contains(&view));
            }
        }
    }

    /// All that one account can read, and how much of it is unread.
    fn check_reader(&self, state: &State, reader: AccountId) {
        let items = state.inbox(reader, None, PAGE_MAX).unwrap().items;
        let mine = self.members.keys().filter(|(_, member)| *member == reader);
        assert!(mine.map(|(id, _)| *id).eq(sorted(items.iter().map(|item| item.id))));
        let mut visible = BTreeMap::new();
        for item in &items {
            let posts = read_all(state, reader, item);
            assert_eq!(posts.len(), self.of(item.id).count(), "all of them, deleted or not");
            let mark = self.members[&(item.id, reader)];
            let mut unread = 0;
            for ((seq, post), message) in (1..).zip(&posts).zip(self.of(item.id)) {
                assert_eq!((post.seq, post.id), (seq, message.id), "seq has no gaps");
                let content = self.content(reader, message);
                self.check_message(state, reader, post, content.as_ref());
                let counts = seq > mark && message.author != reader && content.is_some();
                unread += u64::from(counts);
                visible.insert(post.id, *post);
            }
            assert!(posts.is_sorted_by(|one, next| one.time_us < next.time_us));
            assert_eq!((item.read_upto, item.unread), (mark, unread), "{item:?} of {reader}");
            assert_eq!(item.last, posts.last().copied());
        }
        let in_all = items.iter().map(|item| item.unread).sum();
        assert_eq!(state.unread(reader), in_all);
        for cursor in [0, state.applied() / 2, state.applied()] {
            let missed = state.messages_after(reader, cursor, usize::MAX);
            let expected = visible.range(MessageId(cursor + 1)..).map(|(_, post)| *post);
            assert!(missed.iter().copied().eq(expected), "after {cursor}");
        }
    }

    /// What there is to read; the time is left to the state.
    fn content(&self, reader: AccountId, message: &Message) -> Option<Content> {
        if self.hidden.contains(&(reader, message.id)) {
            return None;
        }
        let (name, deleted) = &self.accounts[&message.author];
        Some(Content {
            author: if *deleted { DELETED_USER.into() } else { name.clone() },
            time_us: 0,
            text: message.text.clone()?,
            edited: message.edited,
            reply_to: message.reply_to,
        })
    }

    fn check_message(
        &self,
        state: &State,
        reader: AccountId,
        post: &Posted,
        expected: Option<&Content>,
    ) {
        assert_eq!(state.message(reader, post.id).as_ref(), Ok(post));
        let body = post.body.map(|index| &self.bodies[&index]);
        let view = state.view(reader, post, body).unwrap();
        let content = view.content.map(|content| Content { time_us: 0, ..content });
        assert_eq!(content.as_ref(), expected, "{post:?} for {reader}");
    }
}

/// All messages of a conversation, page by page.
fn read_all(state: &State, reader: AccountId, item: &InboxItem) -> Vec<Posted> {
    let mut messages = Vec::new();
    loop {
        let after = messages.last().map_or(0, |post: &Posted| post.seq);
        let page = state.history(reader, item.id, Window::After(after), PAGE_MAX).unwrap();
        messages.extend(page.items);
        if !page.more_after {
            return messages;
        }
    }
}

fn sorted<T: Ord>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut items: Vec<_> = items.collect();
    items.sort_unstable();
    items
}
