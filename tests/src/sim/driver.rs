//! The driver of a simulated node: inputs in, effects out, by the contract that `Replica` states.
//!
//! Operations go to the log in ticket order and are synced in groups; a send leaves when its ticket
//! is durable and not before.

use std::{collections::VecDeque, io::ErrorKind};

use bytes::Bytes;
use election::{Micros, NodeId, Ticket, VoterId};
use replication::{ClusterConfig, Effect, Effects, Input, Lane, LinkEvent, Message, Role, codec};
use wal::{Entry, EntryKind, Op, TailVerdict};

use super::{
    checkers::{Checked, Violation, violated},
    network::Packet,
    node::{DiskFault, Failure, Found, HeldSend, Node, Process},
    shadow::Mark,
    trace::hash_bytes,
    world::{Event, World},
};

impl World {
    /// A node starts, or starts again.
    pub(super) fn start(&mut self, id: NodeId) -> Checked {
        if self.nodes[&id].is_up() {
            return Ok(());
        }
        self.choose_build(id);
        let now = self.queue.now();
        let mut rng = self.rng.fork();
        let found = match self.node_mut(id).boot(now, &mut rng) {
            Ok(found) => found,
            Err(Failure::Disk(error)) if self.nodes[&id].disk_is_well() => {
                return self.unusable(id, &error);
            }
            Err(Failure::Disk(error)) => return self.disk_failed(id, &error),
            Err(Failure::Law(violation)) => return Err(violation),
        };
        let Found { lost, tail } = found;
        self.note("start", id, self.nodes[&id].life, u64::from(lost > 0));
        if lost > 0 {
            self.trace.count("a crash took unsynced writes");
        }
        match tail {
            TailVerdict::Torn { cut_bytes: 1.. } => self.trace.count("a torn tail was cut"),
            TailVerdict::Unknown => self.trace.count("an end was in doubt"),
            TailVerdict::Torn { .. } | TailVerdict::CleanEnd | TailVerdict::Stopped => {}
        }
        self.begin_ticks(id);
        self.look_for_room(id)?;
        self.input(id, Input::Wake)
    }

    /// A node's process ends at once; when its machine does too, unsynced writes are lost.
    pub(super) fn stop(&mut self, id: NodeId) {
        let machine_too = self.rng.chance(800);
        let is_garbled = machine_too && self.garbles();
        let node = self.node_mut(id);
        node.process = None;
        node.paused_until = Micros(0);
        let machine_too = machine_too || node.disk_fault == Some(DiskFault::PowerCut);
        node.disk_fault = None;
        node.disk.clear_faults();
        if machine_too {
            if is_garbled {
                node.garble();
            }
            node.disk.crash();
            node.disk.set_garbage(false);
        } else {
            node.disk.kill();
        }
        self.network.node_down(id, &mut self.queue);
        self.note("stop", id, u64::from(machine_too), 0);
    }

    /// A call to a disk has failed: the process ends, and nothing is tried again.
    pub(super) fn disk_failed(&mut self, id: NodeId, error: &wal::Error) -> Checked {
        let Node { disk_fault, damaged_at, disk, .. } = &self.nodes[&id];
        let says_full = matches!(error, wal::Error::Io { source, .. }
            if source.kind() == ErrorKind::StorageFull);
        self.trace.count(if says_full && disk.free_bytes().is_some() {
            "a full disk ended a process"
        } else if disk_fault.is_some() {
            "a failed disk ended a process"
        } else if damaged_at.is_some() {
            "damage ended a process"
        } else {
            return violated(format!("node {id} and its disk: {error:?}"));
        });
        self.crash(id);
        Ok(())
    }

    /// A node's deadline has come.
    pub(super) fn wake(&mut self, id: NodeId, life: u64, number: u64) -> Checked {
        let current = |process: &&mut Process| process.wakes == number;
        let Some(process) = self.process(id, life).filter(current) else {
            return Ok(());
        };
        process.wake_at = None;
        self.note("wake", id, 0, 0);
        self.input(id, Input::Wake)
    }

    /// A node learns of a connection.
    pub(super) fn connected(&mut self, id: NodeId, peer: VoterId) -> Checked {
        self.note("link up", id, peer.node.0, 0);
        self.input(id, Input::Link { peer: peer.node, event: LinkEvent::Up(peer) })
    }

    /// A node learns that a connection is lost, or that the peer closed it because it stops.
    pub(super) fn link_lost(&mut self, id: NodeId, peer: NodeId, stepped_down: bool) -> Checked {
        self.note("link lost", id, peer.0, u64::from(stepped_down));
        let event = if stepped_down { LinkEvent::SteppedDown } else { LinkEvent::Lost };
        self.input(id, Input::Link { peer, event })
    }

    /// A node is asked to stop.
    pub(super) fn drain(&mut self, id: NodeId) -> Checked {
        self.note("leave", id, 0, 0);
        self.input(id, Input::Leave)
    }

    /// A node stops in good order: its log is closed, and its peers are told.
    pub(super) fn close(&mut self, id: NodeId) -> Checked {
        self.note("close", id, 0, 0);
        let node = self.node_mut(id);
        if let Some(process) = node.process.take()
            && let Err(error) = process.log.close()
        {
            return self.disk_failed(id, &error);
        }
        node.shadow.settle_all();
        self.network.node_closes(id, &mut self.queue);
        Ok(())
    }

    /// A message comes in, as bytes.
    pub(super) fn receive(&mut self, packet: &Packet) -> Checked {
        let node = packet.to.node;
        self.note("receive", node, packet.from.node.0, hash_bytes(&packet.bytes));
        match codec::decode(packet.bytes.clone()) {
            Ok(codec::Packet::Core(message)) => {
                self.input(node, Input::Message { from: packet.from, message })
            }
            Ok(other) => violated(format!("{} sent {other:?}", packet.from)),
            Err(error) => violated(format!("{} sent what cannot be read: {error}", packet.from)),
        }
    }

    /// A sync is done.
    pub(super) fn synced(&mut self, id: NodeId, life: u64) -> Checked {
        let Some(process) = self.process(id, life) else {
            return Ok(());
        };
        process.is_syncing = false;
        let ticket = match process.log.sync() {
            Ok(ticket) => Ticket(ticket),
            Err(error) => return self.disk_failed(id, &error),
        };
        if ticket <= process.durable {
            return violated(format!("node {id}: a sync made nothing durable after {ticket:?}"));
        }
        process.durable = ticket;
        self.node_mut(id).shadow.settle(ticket);
        self.note("durable", id, ticket.0, 0);
        self.release(id)?;
        self.input(id, Input::Durable(ticket))
    }

    /// Give a replica an input, and do what it wants done.
    pub(super) fn input(&mut self, id: NodeId, input: Input) -> Checked {
        let at = self.queue.now();
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let node = self.node_mut(id);
            let now = node.clocks.now(at);
            let Some(process) = node.process.as_mut() else {
                return Ok(());
            };
            let mut effects = Effects::new();
            process.replica.handle(now, input, &mut effects);
            for effect in effects {
                if !self.nodes[&id].is_up() {
                    return Ok(());
                }
                if let Some(next) = self.carry_out(id, effect)? {
                    inputs.push_back(next);
                }
            }
        }
        self.settle(id)?;
        self.begin_write(id)
    }

    /// Do what a replica wants done. A fetch is answered by the input returned.
    fn carry_out(&mut self, id: NodeId, effect: Effect) -> Result<Option<Input>, Violation> {
        match effect {
            Effect::Persist { ticket, op } => self.persist(id, ticket, op)?,
            Effect::Send { to, lane, message, after } => {
                if after <= self.up(id).durable {
                    self.transmit(id, to, lane, message)?;
                } else {
                    self.up(id).held.push_back(HeldSend { to, lane, message, after });
                }
            }
            Effect::Role { role, term, leader } => {
                let leader = leader.map_or(0, |leader| leader.0);
                self.note("role", id, term.0, leader);
                self.count_role(id, role, term);
                let process = self.up(id);
                (process.role, process.term) = (role, term.0);
                if role == Role::Leader {
                    let log = &self.nodes[&id].shadow.asked;
                    if self.checkers.leads(id, term.0, log)? {
                        self.trace.count("a new leader");
                        self.count_old_majorities(id);
                        self.cut_off_by_chance(id, self.mix.alone_per_mille[0]);
                        self.limit_reign(id);
                    }
                }
            }
            Effect::Commit(index) => self.commit(id, index.0)?,
            Effect::ReadReady { id: read, index } => self.read_ready(id, read, index.0)?,
            Effect::ReadFailed { id: read } => self.read_failed(id, read)?,
            Effect::Reply { id: proposal, outcome } => self.reply(id, proposal, outcome)?,
            Effect::Fetch { fetch, first, last, bytes_max } => {
                let bytes_max = usize::try_from(bytes_max).expect("32 bits fit");
                let entries = match self.up(id).reader.read(first.0, last.0, bytes_max) {
                    Ok(entries) => entries,
                    Err(error @ wal::Error::Faulty { .. }) => {
                        self.met_damage(id, &error)?;
                        Vec::new()
                    }
                    Err(error) => return self.disk_failed(id, &error).map(|()| None),
                };
                self.trace.count("a leader fetched old entries");
                return Ok(Some(Input::Fetched { fetch, entries }));
            }
            Effect::Config(config) => {
                self.note("config", id, config.predecessor.0, 0);
            }
            Effect::Halt(why) => self.halted(id, why)?,
        }
        Ok(None)
    }

    /// Put an operation in line for the log.
    fn persist(&mut self, id: NodeId, ticket: Ticket, op: Op) -> Checked {
        let node = self.nodes.get_mut(&id).expect("the nodes of a seed are fixed");
        let commit = node.process.as_ref().map_or(0, |process| process.commit);
        let before = node.shadow.asked.last();
        if let Op::TruncateAfter(last) = op {
            self.count_cut(id, last);
        }
        let shadow = &mut self.node_mut(id).shadow;
        shadow
            .ask(ticket, &op)
            .map_err(|Violation(reason)| Violation(format!("node {id}: {reason}")))?;
        match &op {
            Op::Append(entries) => self.check_appended(id, before, entries)?,
            Op::TruncateAfter(last) if *last < commit => {
                return violated(format!("node {id} truncates to {last}, committed {commit}"));
            }
            Op::TruncateAfter(_) => self.trace.count("a suffix was truncated"),
            Op::Repair(entry) => {
                let mark = Mark { term: entry.term, checksum: entry.checksum };
                self.checkers.repaired(id, entry.index, mark)?;
                self.trace.count("a lost entry was put back");
            }
            Op::Doubt => self.trace.count("a node came to doubt its end"),
            Op::Settle => self.trace.count("an end in doubt was settled"),
            Op::HardState(_) | Op::Bind { .. } => {}
        }
        self.trace.detail(&op);
        let process = self.up(id);
        process.log.stage(ticket.0, op);
        process.staged += 1;
        self.note("persist", id, ticket.0, before);
        Ok(())
    }

    /// Entries are put in line after the one at `before`.
    fn check_appended(&mut self, id: NodeId, before: u64, entries: &[Entry]) -> Checked {
        let mut previous = self.nodes[&id].shadow.asked.at(before).map(|mark| mark.term);
        if before == 0 {
            previous = Some(0);
        }
        for entry in entries {
            let mark = Mark { term: entry.term, checksum: entry.checksum };
            self.checkers.appended(id, entry.index, mark, previous)?;
            previous = Some(entry.term);
            if entry.kind == EntryKind::Config {
                let config = ClusterConfig::decode(&entry.payload)
                    .map_err(|error| Violation(format!("node {id} appends {error}")))?;
                self.check_config(id, (entry.index, entry.term), &config)?;
                self.checkers.configured(entry.index, entry.term, &config)?;
            }
        }
        Ok(())
    }

    /// Write what is staged, unless a sync is under way; the sync takes its time.
    fn begin_write(&mut self, id: NodeId) -> Checked {
        let now = self.queue.now();
        let mut sync_us = self.rng.within(self.mix.sync_us / 4, self.mix.sync_us);
        let slow_sync_us = self.mix.slow_sync_us;
        let node = self.node_mut(id);
        if node.slow_until > now {
            sync_us += slow_sync_us;
        }
        let life = node.life;
        let Some(process) = node.process.as_mut() else {
            return Ok(());
        };
        if process.is_syncing || process.staged == 0 {
            return Ok(());
        }
        process.staged = 0;
        process.is_syncing = true;
        let prepared = process.log.upkeep();
        if let Err(error) = prepared.and_then(|()| process.log.write()) {
            return self.disk_failed(id, &error);
        }
        self.queue.after(sync_us, Event::Synced { node: id, life });
        Ok(())
    }

    /// Let everything leave whose ticket is durable.
    fn release(&mut self, id: NodeId) -> Checked {
        let process = self.up(id);
        let durable = process.durable;
        let (free, held) = std::mem::take(&mut process.held)
            .into_iter()
            .partition::<VecDeque<_>, _>(|send| send.after <= durable);
        process.held = held;
        for HeldSend { to, lane, message, .. } in free {
            self.transmit(id, to, lane, message)?;
        }
        Ok(())
    }

    fn transmit(&mut self, id: NodeId, to: VoterId, lane: Lane, message: Message) -> Checked {
        self.trace.detail(&message);
        self.count_message(id, to, &message);
        let from = self.nodes[&id].identity().expect("it was started");
        if let Some(term) = promised_term(&message) {
            let node = self.node_mut(id);
            node.promised_term = node.promised_term.max(term);
        }
        match &message {
            Message::VoteAnswer { term, granted: true } => self.checkers.votes(from, term.0, to)?,
            Message::Vote { term, .. } => self.checkers.votes(from, term.0, from)?,
            Message::HeartbeatAnswer { term, level, .. } => {
                self.levels.says(from, term.0, *level);
            }
            Message::Conflict { .. } => self.trace.count("a conflict backed up"),
            Message::Forward { .. } => self.trace.count("a write was forwarded"),
            Message::PreVote { .. }
            | Message::PreVoteAnswer { .. }
            | Message::VoteAnswer { .. }
            | Message::Heartbeat { .. }
            | Message::Append { .. }
            | Message::Appended { .. }
            | Message::Forwarded { .. }
            | Message::Read { .. }
            | Message::ReadAnswer { .. }
            | Message::TimeoutNow { .. }
            | Message::Drain { .. }
            | Message::Regressed { .. }
            | Message::Mend { .. }
            | Message::Mended { .. }
            | Message::Recall { .. }
            | Message::Recalled { .. }
            | Message::Bind { .. }
            | Message::Bound { .. }
            | Message::Reconfigure { .. }
            | Message::Named { .. }
            | Message::Removed { .. } => {}
        }
        let bytes: Bytes = codec::encode(&codec::Packet::Core(message))
            .map_err(|error| Violation(format!("node {id} sends what has no bytes: {error}")))?;
        self.note("send", id, to.node.0, hash_bytes(&bytes));
        self.network.send((from, to), lane, bytes, &mut self.queue);
        Ok(())
    }

    /// A node regards everything up to `index` as committed.
    fn commit(&mut self, id: NodeId, index: u64) -> Checked {
        let process = self.up(id);
        let (before, term) = (process.commit, process.term);
        if index <= before {
            return violated(format!("the commit of node {id} goes from {before} to {index}"));
        }
        process.commit = index;
        let nodes = &self.nodes;
        let durable = |node: NodeId, index, mark| nodes[&node].held(index, mark);
        let log = &nodes[&id].shadow.asked;
        self.checkers.committed((id, term), (before, index), log, durable)?;
        self.note("commit", id, index, term);
        Ok(())
    }

    /// Answer the reads that are due, and see to the next fold and the next wake.
    pub(super) fn settle(&mut self, id: NodeId) -> Checked {
        let now = self.queue.now();
        let fold_us = self.rng.within(self.mix.apply_us / 4, self.mix.apply_us);
        let node = self.node_mut(id);
        let (life, clocks) = (node.life, node.clocks);
        let Some(process) = node.process.as_mut() else {
            return Ok(());
        };
        let folds = process.folded < process.commit && !process.is_folding;
        process.is_folding |= folds;
        let deadline = process.replica.deadline();
        let wake_at = (deadline.0 < u64::MAX).then(|| clocks.when(deadline).max(now));
        // A later deadline waits until the earlier wake has found nothing to do.
        let wakes = wake_at.filter(|&at| process.wake_at.is_none_or(|set| at < set));
        if wakes.is_some() {
            process.wake_at = wakes;
            process.wakes += 1;
        }
        let number = process.wakes;
        if folds {
            self.queue.after(fold_us, Event::Fold { node: id, life });
        }
        if let Some(at) = wakes {
            self.queue.at(at, Event::Wake { node: id, life, number });
        }
        self.answer_reads(id)
    }

    pub(super) fn process(&mut self, id: NodeId, life: u64) -> Option<&mut Process> {
        let node = self.node_mut(id);
        if node.life == life { node.process.as_mut() } else { None }
    }

    pub(super) fn up(&mut self, id: NodeId) -> &mut Process {
        self.node_mut(id).process.as_mut().expect("only a running process has effects")
    }
}

/// The term that a node must not forget once this message has left.
fn promised_term(message: &Message) -> Option<u64> {
    match message {
        Message::Vote { term, .. }
        | Message::VoteAnswer { term, .. }
        | Message::Heartbeat { term, .. }
        | Message::HeartbeatAnswer { term, .. }
        | Message::Append { term, .. }
        | Message::Appended { term, .. }
        | Message::Conflict { term, .. }
        | Message::Regressed { term, .. }
        | Message::Recall { term, .. }
        | Message::Recalled { term, .. }
        | Message::Mended { term, .. } => Some(term.0),
        // A pre-vote is of a term that nobody has yet; the others rest on no term of the sender.
        Message::PreVote { .. }
        | Message::PreVoteAnswer { .. }
        | Message::Forward { .. }
        | Message::Forwarded { .. }
        | Message::Read { .. }
        | Message::ReadAnswer { .. }
        | Message::TimeoutNow { .. }
        | Message::Drain { .. }
        | Message::Mend { .. }
        | Message::Bind { .. }
        | Message::Bound { .. }
        | Message::Reconfigure { .. }
        | Message::Named { .. }
        | Message::Removed { .. } => None,
    }
}

pub(super) fn answered_twice(id: NodeId, number: u64) -> Violation {
    Violation(format!("node {id} answers call {number} twice"))
}
