//! Scenarios as text. A file is paragraphs: a step, `----`, and what came of it, which this fills in
//! when asked to rewrite. Lines that start with `#` are prose.
//!
//! Steps: `clock +DURATION` · `register NAME [invite=owner|wrong]` · `login NAME` · `NAME ACTION ..`
//! with the actions and questions below. `id=X` names a request id, so that a later step can retry
//! it or follow it (`after=X`). `hash` shows the running hash, which must never come out otherwise
//! for the same log, on any machine or build.

use std::{borrow::ToOwned, collections::BTreeMap, format, string::String, vec::Vec};

use crate::{
    Accepted, Action, Answer, Applied, Change, Event, Posted, Registration, Rejection, RequestId,
    Window,
    limits::{DAY_US, SECOND_US},
    tests::kit::{OWNER_TOKEN, World, check_file, target},
};

#[test]
fn accounts() {
    run("accounts.txt");
}

#[test]
fn direct_messages() {
    run("direct.txt");
}

#[test]
fn channels() {
    run("channels.txt");
}

#[test]
fn unread_counts() {
    run("unread.txt");
}

#[test]
fn deleting() {
    run("deleting.txt");
}

#[test]
fn editing() {
    run("editing.txt");
}

#[test]
fn leaving() {
    run("leaving.txt");
}

#[test]
fn history_pages() {
    run("history.txt");
}

fn run(file: &str) {
    let path = format!("{}/testdata/{file}", env!("CARGO_MANIFEST_DIR"));
    let script = std::fs::read_to_string(&path).unwrap();
    let mut play = Play { world: World::new(), ids: BTreeMap::new() };
    let mut out = String::new();
    for paragraph in script.split("\n\n") {
        let mut steps = Vec::new();
        for line in paragraph.trim_end().lines().take_while(|line| *line != "----") {
            out += &format!("{line}\n");
            if !line.starts_with('#') && !line.is_empty() {
                steps.push(line);
            }
        }
        if !steps.is_empty() {
            out += "----\n";
            for step in steps {
                out += &play.step(step);
            }
        }
        out += "\n";
    }
    check_file(file, &format!("{}\n", out.trim_end()));
}

struct Play {
    world: World,
    ids: BTreeMap<String, RequestId>,
}

/// The words of a step, apart from those that say `key=value`.
struct Words<'a> {
    plain: Vec<&'a str>,
    keyed: BTreeMap<&'a str, &'a str>,
}

impl<'a> Words<'a> {
    fn of(line: &'a str) -> Self {
        let (keyed, plain): (Vec<_>, Vec<_>) = line.split(' ').partition(|word| word.contains('='));
        let keyed = keyed.iter().filter_map(|word| word.split_once('=')).collect();
        Self { plain, keyed }
    }

    fn number(&self, key: &str) -> Option<u64> {
        self.keyed.get(key).map(|value| value.parse().unwrap())
    }

    fn at(&self, place: usize) -> &'a str {
        self.plain.get(place).copied().unwrap_or_default()
    }
}

impl Play {
    fn step(&mut self, line: &str) -> String {
        let words = Words::of(line);
        match words.at(0) {
            "clock" => {
                self.world.clock_us += duration_us(words.at(1));
                String::new()
            }
            "hash" => format!("{:016x}\n", self.world.state.hash()),
            "register" => {
                let request = self.request(&words);
                let invite = match words.keyed.get("invite") {
                    Some(&"owner") => Some(OWNER_TOKEN),
                    Some(_) => Some([9; 32]),
                    None => None,
                };
                let token = self.world.token();
                let applied = self.world.register_as(request, words.at(1), invite, token);
                self.tell(applied)
            }
            "login" => {
                let request = self.request(&words);
                let token = self.world.token();
                let applied = self.world.login_as(request, words.at(1), token);
                self.tell(applied)
            }
            who => match self.action(&words) {
                Some(action) => {
                    let request = self.request(&words);
                    let applied = self.world.act_as(request, who, action);
                    self.tell(applied)
                }
                None => self.ask(who, &words).unwrap_or_else(refusal),
            },
        }
    }

    fn request(&mut self, words: &Words<'_>) -> RequestId {
        let Some(name) = words.keyed.get("id") else { return self.world.request() };
        if let Some(known) = self.ids.get(*name) {
            return *known;
        }
        let fresh = self.world.request();
        self.ids.insert(String::from(*name), fresh);
        fresh
    }

    fn action(&self, words: &Words<'_>) -> Option<Action> {
        let name = words.at(2).trim_start_matches('#').to_owned();
        Some(match words.at(1) {
            "logout" => {
                let own = self.world.people[words.at(0)].1;
                let session = words.number("session").map_or(own, crate::SessionId);
                Action::Logout { session }
            }
            "create" => Action::CreateChannel {
                name,
                private: words.at(3) == "private",
                topic: words
                    .keyed
                    .get("topic")
                    .map_or_else(String::new, |topic| String::from(*topic)),
            },
            "join" => Action::Join { channel: name },
            "leave" => Action::Leave { channel: name },
            "invite" => Action::Invite { channel: name, user: words.at(3).into() },
            "send" => Action::Send {
                to: target(words.at(2)),
                text: words.plain[3..].join(" "),
                reply_to: words.number("reply").map(crate::MessageId),
                after_request: words.keyed.get("after").map(|name| self.ids[*name]),
            },
            "edit" => {
                let message = crate::MessageId(words.at(2).parse().unwrap());
                Action::Edit { message, text: words.plain[3..].join(" ") }
            }
            "delete" => Action::Delete { message: crate::MessageId(words.at(2).parse().unwrap()) },
            "password" => Action::SetPassword {
                password_generation: words.at(2).parse().unwrap(),
                password_hash: words.at(3).into(),
            },
            "erase" | "goodbye" => Action::DeleteAccount {
                password_generation: words.at(2).parse().unwrap(),
                erase_messages: words.at(1) == "erase",
            },
            "token" => {
                let token_hash = [words.at(2).parse().unwrap(); 32];
                Action::OpenToken { token_hash }
            }
            "mark" => Action::Mark { to: target(words.at(2)), upto: words.at(3).parse().unwrap() },
            "registration" => Action::SetRegistration {
                registration: match words.at(2) {
                    "open" => Registration::Open,
                    "invite" => Registration::Invite,
                    _ => Registration::Closed,
                },
            },
            _ => return None,
        })
    }

    fn tell(&self, applied: Applied) -> String {
        let told = match applied.outcome {
            Err(rejection) => refusal(rejection),
            Ok(Accepted { answer, repeated }) => {
                let again = if repeated { " (repeated)" } else { "" };
                format!("{}{again}\n", tell_answer(answer))
            }
        };
        applied.event.map_or_else(|| told.clone(), |event| told.clone() + &self.tell_event(&event))
    }

    fn tell_event(&self, event: &Event) -> String {
        let state = &self.world.state;
        let name = |account| state.name(account).unwrap();
        let what = match event {
            Event::Message { seq, .. } => format!("message {seq}"),
            Event::Read { account, upto, .. } => format!("{} read up to {upto}", name(*account)),
            Event::Member { account, change: Change::Joined, .. } => {
                format!("{} came in", name(*account))
            }
            Event::Member { account, change: Change::Left, .. } => {
                format!("{} left", name(*account))
            }
            Event::Channel { .. } => "channel made".into(),
            Event::Edited { seq, .. } => format!("message {seq} edited"),
            Event::Deleted { seq, .. } => format!("message {seq} deleted"),
            Event::AccountDeleted { account, erased, .. } => {
                let with = if *erased { " with all that it sent" } else { "" };
                format!("{} deleted{with}", name(*account))
            }
        };
        let heard: Vec<_> = state
            .accounts
            .names()
            .iter()
            .filter(|(_, id)| state.sees(**id, event))
            .map(|(name, _)| &**name)
            .collect();
        format!("  heard by {}: {what}\n", heard.join(" "))
    }

    fn ask(&self, who: &str, words: &Words<'_>) -> Result<String, Rejection> {
        let (world, state) = (&self.world, &self.world.state);
        let me = world.id(who);
        let limit = words.number("limit").map_or(50, |limit| usize::try_from(limit).unwrap());
        let after = words.keyed.get("after").copied();
        let mut out = String::new();
        match words.at(1) {
            "users" => {
                let page = state.accounts(words.at(2), after, limit)?;
                for item in page.items {
                    let deleted = if item.deleted { ", deleted" } else { "" };
                    out += &format!("{} ({}{deleted})\n", item.name, item.role.as_str());
                }
                out += &page.next.map_or_else(String::new, |next| format!("more after {next}\n"));
            }
            "channels" => {
                let page = state.channels(me, words.at(2), after, limit)?;
                for item in page.items {
                    out += &format!("{} [{}]", item.name, item.topic);
                    out += if item.private { " private" } else { "" };
                    out += if item.joined { " joined" } else { "" };
                    out += &format!(", members {}, last seq {}\n", item.members, item.last_seq);
                }
                out += &page.next.map_or_else(String::new, |next| format!("more after {next}\n"));
            }
            "members" => {
                let page = state.members(me, words.at(2).trim_start_matches('#'), after, limit)?;
                for item in page.items {
                    out += &format!("{}\n", item.name);
                }
                out += &page.next.map_or_else(String::new, |next| format!("more after {next}\n"));
            }
            "sessions" => {
                for item in state.sessions(me, world.clock_us) {
                    let left_us = item.expires_us - world.clock_us;
                    out += &format!("session {}: {} h left\n", item.id, left_us / 3_600_000_000);
                }
            }
            "inbox" => {
                let page = state.inbox(me, words.number("before"), limit)?;
                for item in page.items {
                    let last = item.last.map_or(0, |last| last.seq);
                    out += &format!(
                        "{}: unread {}, read up to {} of {last}\n",
                        item.conversation, item.unread, item.read_upto
                    );
                }
                out += &page.next.map_or_else(String::new, |next| format!("more before {next}\n"));
                out += &format!("unread in all {}\n", state.unread(me));
            }
            "missed" => {
                let cursor = words.at(2).parse().unwrap();
                for post in state.messages_after(me, cursor, limit) {
                    out += &self.show(who, &post);
                }
            }
            "read" => out += &self.read(who, words, limit)?,
            other => panic!("no such step: {other}"),
        }
        Ok(out)
    }

    fn read(&self, who: &str, words: &Words<'_>, limit: usize) -> Result<String, Rejection> {
        let window = match (words.number("before"), words.number("after"), words.number("around")) {
            (Some(seq), ..) => Window::Before(seq),
            (_, Some(seq), _) => Window::After(seq),
            (.., Some(seq)) => Window::Around(seq),
            _ => Window::Newest,
        };
        let to = target(words.at(2));
        let page = self.world.state.history_with(self.world.id(who), &to, window, limit)?;
        let mut out = String::new();
        for post in &page.items {
            out += &self.show(who, post);
        }
        out += &format!("{}..{}", page.first, page.last);
        out += if page.more_before { ", more before" } else { "" };
        out += if page.more_after { ", more after" } else { "" };
        Ok(out + "\n")
    }

    fn show(&self, who: &str, post: &Posted) -> String {
        let entry = |index: u64| &self.world.log[usize::try_from(index).unwrap() - 1];
        let view = self.world.state.view(self.world.id(who), post, post.body.map(entry)).unwrap();
        let what = view.content.map_or_else(
            || "deleted".into(),
            |content| {
                let reply =
                    content.reply_to.map_or_else(String::new, |id| format!(" (answers {id})"));
                let edited = if content.edited { " (edited)" } else { "" };
                format!("{}: {}{reply}{edited}", content.author, content.text)
            },
        );
        format!("{} {} #{} {what}\n", view.conversation, view.seq, view.id)
    }
}

fn tell_answer(answer: Answer) -> String {
    match answer {
        Answer::Registered { account, role, session, .. } => {
            format!("account {account}, {}, session {session}", role.as_str())
        }
        Answer::LoggedIn { account, session, .. } => {
            format!("account {account}, session {session}")
        }
        Answer::LoggedOut { session } => format!("session {session} ended"),
        Answer::ChannelCreated { conversation } => format!("conversation {conversation}"),
        Answer::Joined { conversation } => format!("member of {conversation}"),
        Answer::Left { conversation } => format!("no member of {conversation}"),
        Answer::Invited { conversation, account } => {
            format!("{account} is member of {conversation}")
        }
        Answer::Sent { conversation, seq, id, .. } => {
            format!("sent {id} as {seq} of conversation {conversation}")
        }
        Answer::Marked { conversation, upto } => format!("{conversation} is read up to {upto}"),
        Answer::SettingChanged | Answer::PasswordSet => "set".into(),
        Answer::Edited { id, .. } => format!("{id} edited"),
        Answer::Deleted { id, only_for_me, .. } => {
            format!("{id} deleted{}", if only_for_me { " for oneself" } else { "" })
        }
        Answer::AccountDeleted { account } => format!("account {account} deleted"),
        Answer::TokenOpened { session, .. } => format!("token of session {session}"),
    }
}

fn refusal(rejection: Rejection) -> String {
    format!("refused: {}\n", rejection.code())
}

fn duration_us(text: &str) -> u64 {
    let text = text.trim_start_matches('+');
    let (number, unit_us) = match text.strip_suffix('d') {
        Some(days) => (days, DAY_US),
        None => (text.trim_end_matches('s'), SECOND_US),
    };
    number.parse::<u64>().unwrap() * unit_us
}
