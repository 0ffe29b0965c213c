//! What clients of a node ask for: proposals and reads into the replica, committed entries through
//! the fold, and answers back.
//!
//! A write is answered when its own entry is folded here, and by nothing else.

use chat::{Accepted, AccountId, Answer, Command, RequestId, Target, Window};
use election::NodeId;
use replication::{Input, Outcome, ProposalId, ReadId, Refusal, Role, split_stamp};
use wal::{Entry, EntryKind};

use super::{
    checkers::{Checked, Violation, violated},
    clock::wall_max_us,
    driver::answered_twice,
    history::request_at,
    ledger::Did,
    linear::Seen,
    node::{Failure, Process, Proposal, Question},
    shadow::Mark,
    workload::{ClientEvent, Demand, Key, LOBBY, Reply},
    world::{Event, World},
};

/// A fold reads about this much at once.
const FOLD_BYTES: usize = 16 * 1024;

impl World {
    /// A request comes to a node.
    pub(super) fn ask(&mut self, id: NodeId, key: Key, demand: Demand) -> Checked {
        let Some(process) = self.node_mut(id).process.as_mut() else {
            self.answer(key, Reply::Again);
            return Ok(());
        };
        let number = process.calls.number();
        let input = match demand {
            Demand::Write { request, body } => {
                let id = ProposalId(number);
                let term = process.term;
                let proposal = Proposal { term, key, request, body: body.clone() };
                process.calls.proposals.insert(id, proposal);
                self.workload.ledger.proposed(request);
                Input::Propose { id, body }
            }
            Demand::Read { reader } => {
                let id = ReadId(number);
                process.calls.reads.insert(id, Question { key, reader });
                Input::Read { id }
            }
        };
        self.note("ask", id, number, u64::try_from(key.client).expect("a handful"));
        self.input(id, input)
    }

    /// Fold some of what is committed.
    pub(super) fn fold(&mut self, id: NodeId, life: u64) -> Checked {
        let Some(process) = self.process(id, life) else {
            return Ok(());
        };
        process.is_folding = false;
        let (first, last) = (process.folded + 1, process.commit);
        let entries = match process.reader.read(first, last, FOLD_BYTES) {
            Ok(entries) => entries,
            Err(error @ wal::Error::Faulty { .. }) => {
                self.rest(id);
                return self.met_damage(id, &error);
            }
            Err(error) => return self.disk_failed(id, &error),
        };
        if first <= last && entries.is_empty() {
            return violated(format!("node {id} committed {last} and cannot read {first}"));
        }
        for entry in entries {
            self.fold_entry(id, &entry)?;
        }
        self.note("fold", id, self.nodes[&id].folded().unwrap_or(0), 0);
        self.settle(id)
    }

    /// A proposal has its outcome.
    pub(super) fn reply(&mut self, id: NodeId, proposal: ProposalId, outcome: Outcome) -> Checked {
        if self.changed(id, proposal, outcome) {
            return Ok(());
        }
        let calls = &mut self.up(id).calls;
        let call =
            calls.proposals.remove(&proposal).ok_or_else(|| answered_twice(id, proposal.0))?;
        match outcome {
            Outcome::Committed(index) => {
                self.count_committed(id, &call);
                let folded = self.up(id).folded;
                if index.0 <= folded {
                    // The lanes share no order: the entry came before the word of its place.
                    self.trace.count("a write was folded before its place was known");
                    return self.answer_write(id, index.0, call);
                }
                self.up(id).calls.committed.entry(index.0).or_default().push(call);
            }
            Outcome::NotAccepted(refusal) => {
                self.trace.count("a write was turned away");
                if refusal == Refusal::NoSpace {
                    self.trace.count("a write was turned away for want of space");
                }
                self.workload.ledger.turned_away(call.request)?;
                self.answer(call.key, Reply::Again);
            }
            Outcome::Unknown => {
                self.trace.count("a write had an unknown outcome");
                self.answer(call.key, Reply::Again);
            }
        }
        Ok(())
    }

    fn fold_entry(&mut self, id: NodeId, entry: &Entry) -> Checked {
        let index = entry.index;
        let mark = Mark { term: entry.term, checksum: entry.checksum };
        let written = self.nodes[&id].shadow.asked.at(index);
        if written != Some(mark) || !entry.is_intact() {
            return violated(format!(
                "node {id} reads {mark:?} at {index}, where it wrote {written:?}"
            ));
        }
        let process = self.up(id);
        if index != process.folded + 1 {
            return violated(format!("node {id} reads {index} after {}", process.folded));
        }
        process.folded = index;
        let applied = match entry.kind {
            EntryKind::Command => {
                let (stamp, body) = split_stamp(&entry.payload)
                    .ok_or_else(|| Violation(format!("the command at {index} has no stamp")))?;
                let command = Command::decode(&body)
                    .map_err(|error| Violation(format!("the command at {index}: {error}")))?;
                let applied = process.state.apply(index, stamp, &command);
                process.calls.outcomes.insert(index, (body, applied.outcome));
                Some((command, applied.outcome))
            }
            EntryKind::NoOp | EntryKind::Config => {
                process.state.skip(index);
                None
            }
        };
        let (hash, time_us) = (process.state.hash(), process.state.time_us());
        let calls = process.calls.committed.remove(&index).unwrap_or_default();
        let is_first = self.checkers.folded(id, index, hash)?;
        let latest_us = wall_max_us(self.queue.now());
        if time_us > latest_us {
            return violated(format!(
                "log time {time_us} us is ahead of every right clock at {index}"
            ));
        }
        if let (true, Some((command, outcome))) = (is_first, applied) {
            self.workload.ledger.committed(command.request())?;
            match self.workload.ledger.folded(index, &command, outcome)? {
                Did::Effect => {
                    self.trace.count("a request took effect");
                    if let Some(what) = outcome.ok().and_then(change) {
                        self.trace.count(what);
                    }
                }
                Did::Repeated => self.trace.count("a retry was answered by the first outcome"),
                Did::Refused(rejection) => self.trace.count(rejection.code()),
            }
        }
        calls.into_iter().try_for_each(|call| self.answer_write(id, index, call))
    }

    /// Answer a write that stands at a folded index.
    fn answer_write(&mut self, id: NodeId, index: u64, call: Proposal) -> Checked {
        let Proposal { key, body, .. } = call;
        match self.up(id).calls.outcomes.get(&index) {
            Some(&(ref found, outcome)) if *found == body => {
                self.answer(key, Reply::Outcome { index, outcome });
                Ok(())
            }
            Some(_) | None => violated(format!(
                "node {id} says that {key:?} stands at {index}, which is another's"
            )),
        }
    }

    /// A read is confirmed: answer it once everything up to `index` is folded.
    pub(super) fn read_ready(&mut self, id: NodeId, read: ReadId, index: u64) -> Checked {
        let process = self.up(id);
        let leads = process.role == Role::Leader;
        let question = process.calls.reads.remove(&read);
        let question = question.ok_or_else(|| answered_twice(id, read.0))?;
        process.calls.confirmed.entry(index).or_default().push(question);
        self.trace.count("a read was confirmed");
        if !leads {
            self.trace.count("a follower served a read");
        }
        Ok(())
    }

    /// A read cannot be confirmed.
    pub(super) fn read_failed(&mut self, id: NodeId, read: ReadId) -> Checked {
        let question = self.up(id).calls.reads.remove(&read);
        let Question { key, reader: _ } = question.ok_or_else(|| answered_twice(id, read.0))?;
        self.answer(key, Reply::Again);
        Ok(())
    }

    /// Answer the reads for which enough is folded.
    pub(super) fn answer_reads(&mut self, id: NodeId) -> Checked {
        let process = self.up(id);
        let folded = process.folded;
        let later = process.calls.confirmed.split_off(&(folded + 1));
        let due = std::mem::replace(&mut process.calls.confirmed, later);
        for Question { key, reader } in due.into_values().flatten() {
            let lobby = match reader.map(|reader| lobby(self.up(id), reader)).transpose() {
                Ok(lobby) => lobby.flatten(),
                Err(Failure::Law(violation)) => return Err(violation),
                Err(Failure::Disk(error @ wal::Error::Faulty { .. })) => {
                    self.met_damage(id, &error)?;
                    self.answer(key, Reply::Again);
                    continue;
                }
                Err(Failure::Disk(error)) => return self.disk_failed(id, &error),
            };
            self.answer(key, Reply::Read { folded, lobby });
        }
        Ok(())
    }

    /// An answer sets out for its client; it may be lost on the way.
    pub(super) fn answer(&mut self, key: Key, reply: Reply) {
        self.trace.detail(&reply);
        if !self.is_healed && self.rng.chance(30) {
            self.trace.count("an answer was lost");
            return;
        }
        let travel_us = self.rng.within(50, 2_000);
        self.queue.after(travel_us, Event::Client(ClientEvent::Answer { key, reply }));
    }
}

/// What `reader` sees of the lobby on this node: read from the log, as any text is.
fn lobby(process: &Process, reader: AccountId) -> Result<Option<Seen<RequestId>>, Failure> {
    let Ok(Some(id)) = process.state.resolve(reader, &Target::channel(LOBBY)) else {
        return Ok(None);
    };
    let Ok(page) = process.state.history(reader, id, Window::Newest, 1) else {
        return Ok(None);
    };
    let Some(last) = page.items.last() else {
        return Ok(Some(Seen { count: 0, last: None }));
    };
    let request = request_at(process, last.id.0)?;
    Ok(Some(Seen { count: last.seq, last: Some(request) }))
}

/// What was changed of what there was, if anything.
fn change(accepted: Accepted) -> Option<&'static str> {
    match accepted.answer {
        Answer::Edited { .. } => Some("a message was edited"),
        Answer::Deleted { only_for_me: false, .. } => Some("a message was deleted for everyone"),
        Answer::Deleted { only_for_me: true, .. } => Some("a message was deleted for one"),
        Answer::AccountDeleted { .. } => Some("an account was deleted"),
        Answer::Registered { .. }
        | Answer::LoggedIn { .. }
        | Answer::LoggedOut { .. }
        | Answer::ChannelCreated { .. }
        | Answer::Joined { .. }
        | Answer::Left { .. }
        | Answer::Invited { .. }
        | Answer::Sent { .. }
        | Answer::Marked { .. }
        | Answer::SettingChanged
        | Answer::PasswordSet
        | Answer::TokenOpened { .. } => None,
    }
}
