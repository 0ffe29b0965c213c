//! The leader's part: entries in, appends and heartbeats out.
//!
//! What always holds: all entries of this term were made here; appends do not wait for this node's
//! own fsync, and its own copy counts only after it (research trap 10).

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use election::{EntryId, Index, Micros, NodeId, Term, VoterId};
use wal::{Entry, EntryKind};

use super::{
    Core, OpenAppend,
    handover::Handover,
    log::{id, size_bytes},
    progress::{Pace, Progress},
    read::Rounds,
};
use crate::{ClusterConfig, Effect, Effects, FetchId, Fitness, Limits, Member, Message, Now};

#[derive(Debug)]
pub(crate) struct Leader {
    pub(crate) peers: BTreeMap<NodeId, Progress>,
    pub(crate) heartbeat_at: Micros,
    /// Heartbeat rounds of this term so far.
    pub(crate) round: u64,
    /// The first entry of this term.
    pub(crate) first_own: Index,
    /// Own entries that wait for commit, and what they count.
    pub(crate) uncommitted: VecDeque<(Index, usize)>,
    pub(crate) uncommitted_bytes: usize,
    pub(crate) rounds: Rounds,
    pub(crate) handover: Option<Handover>,
    /// No hand-over is begun unasked before.
    pub(crate) rests_until: Micros,
    /// Since when it leads.
    pub(crate) since: Micros,
}

impl Leader {
    pub(crate) fn deadline(&self) -> Micros {
        let handover = self.handover.as_ref().map_or(Micros(u64::MAX), |handover| handover.until);
        self.heartbeat_at.min(handover)
    }
}

impl Core {
    /// Elected: an entry of the own term first, for nothing older commits without one
    /// (Raft §5.4.2), and a heartbeat at once.
    pub(crate) fn start_leading(&mut self, now: Now, effects: &mut Effects) {
        let next = self.log.last().index.next();
        self.lead = Some(Leader {
            peers: BTreeMap::new(),
            heartbeat_at: now.monotonic,
            round: 0,
            first_own: next,
            uncommitted: VecDeque::new(),
            uncommitted_bytes: 0,
            rounds: Rounds::default(),
            handover: None,
            rests_until: now.monotonic,
            since: now.monotonic,
        });
        self.meet_members();
        self.append_own(now, EntryKind::NoOp, Bytes::new(), effects);
        self.heartbeat_if_due(now, effects);
    }

    pub(crate) fn stop_leading(&mut self, effects: &mut Effects) {
        if let Some(lead) = self.lead.take() {
            for reader in lead.rounds.give_up() {
                self.answer_read(reader, None, effects);
            }
        }
    }

    /// Track exactly the members of the configuration in force. What is known of a number with
    /// another disk is not known of this one.
    pub(crate) fn meet_members(&mut self) {
        let Some(lead) = &mut self.lead else { return };
        let config = self.log.config();
        let next = self.log.last().index.next();
        let members = config.voters.iter().chain(&config.learners);
        let others = members.filter(|member| member.node != self.me.node);
        let mut peers = std::mem::take(&mut lead.peers);
        let track = |member: &Member| {
            let known = peers.remove(&member.node).filter(|known| known.is_of(member.store));
            let mut progress = known.unwrap_or_else(|| Progress::new(next));
            progress.store = member.store;
            (member.node, progress)
        };
        lead.peers = others.map(track).collect();
    }

    /// Make an entry of the own term.
    pub(crate) fn append_own(
        &mut self,
        now: Now,
        kind: EntryKind,
        payload: Bytes,
        effects: &mut Effects,
    ) -> EntryId {
        let index = self.log.last().index.next();
        let entry = Entry::new(index.0, self.term.0, kind, payload);
        let made = id(&entry);
        let lead = self.lead.as_mut().expect("only a leader makes entries");
        lead.uncommitted.push_back((index, size_bytes(&entry)));
        lead.uncommitted_bytes += size_bytes(&entry);
        if kind == EntryKind::Command && self.extend_append(&entry, effects) {
            return made;
        }
        let open = OpenAppend::new(&entry);
        let config = (kind == EntryKind::Config)
            .then(|| ClusterConfig::decode(&entry.payload).expect("it was encoded just now"));
        self.append(now, vec![entry], config.into_iter().map(|c| (index, c)).collect(), effects);
        self.open_append = (kind == EntryKind::Command).then_some(open);
        made
    }

    /// Put an entry into the operation before it, if that was made in this turn, nothing has been said
    /// since, and there is room.
    fn extend_append(&mut self, entry: &Entry, effects: &mut Effects) -> bool {
        let Some(open) = &mut self.open_append else { return false };
        let issued = self.tickets.issued;
        let Some(Effect::Persist { ticket, op: wal::Op::Append(entries) }) = effects.last_mut()
        else {
            return false;
        };
        if *ticket != issued || !open.takes(entry, &self.limits) {
            return false;
        }
        entries.push(entry.clone());
        self.log.append(issued, [entry.clone()], Vec::new());
        true
    }

    /// Append to the local log.
    pub(super) fn append(
        &mut self,
        now: Now,
        entries: Vec<Entry>,
        configs: Vec<(Index, ClusterConfig)>,
        effects: &mut Effects,
    ) {
        let changed = !configs.is_empty();
        assert!(
            self.may_follow(self.log.last().index, &configs),
            "each configuration fits the last"
        );
        let ticket = self.persist(now, wal::Op::Append(entries.clone()), effects);
        self.log.append(ticket, entries, configs);
        if changed {
            self.config_changed(effects);
        }
    }

    pub(crate) fn heartbeat_if_due(&mut self, now: Now, effects: &mut Effects) {
        let Some(lead) = &self.lead else { return };
        if now.monotonic < lead.heartbeat_at {
            return;
        }
        self.start_round(now, effects);
    }

    /// A heartbeat to everyone; reads that wait ride on it. What was lost is looked for as well: with
    /// many reads no other heartbeat comes.
    pub(super) fn start_round(&mut self, now: Now, effects: &mut Effects) {
        let may_read = self.has_committed_own();
        let Some(lead) = &mut self.lead else { return };
        lead.heartbeat_at = now.monotonic.plus(self.timing.heartbeat);
        lead.round += 1;
        if may_read {
            lead.rounds.start(lead.round, self.commit);
        }
        for progress in lead.peers.values_mut() {
            progress.retry(now.monotonic, self.timing.append_retry);
        }
        let peers: Vec<NodeId> = lead.peers.keys().copied().collect();
        for node in peers {
            self.heartbeat(node, effects);
        }
        self.look_at_learners(now);
        self.confirm_reads(effects);
    }

    /// What the peer is told is committed is capped by what it is known to hold (trap 37).
    fn heartbeat(&mut self, to: NodeId, effects: &mut Effects) {
        let Some(lead) = &mut self.lead else { return };
        let Some(progress) = lead.peers.get_mut(&to) else { return };
        let commit = self.commit.min(progress.matched);
        progress.told = progress.told.max(commit);
        let (round, matched) = (lead.round, progress.matched);
        let message = Message::Heartbeat { term: self.term, commit, round, matched };
        self.send(to, message, self.tickets.hard_state, effects);
    }

    pub(crate) fn on_heartbeat_answer(
        &mut self,
        now: Now,
        from: VoterId,
        (round, wall, fitness, level): (u64, Micros, Fitness, u16),
        effects: &mut Effects,
    ) {
        let Some(lead) = &mut self.lead else { return };
        let Some(progress) = lead.peers.get_mut(&from.node) else { return };
        if round > lead.round {
            return;
        }
        progress.answered_round = progress.answered_round.max(round);
        progress.heard = Some(now.monotonic);
        progress.wall_offset = Some(super::stamp::offset(wall, now.monotonic));
        progress.fitness = Some(fitness);
        progress.level = level;
        self.confirm_reads(effects);
    }

    pub(crate) fn on_appended(
        &mut self,
        now: Now,
        from: VoterId,
        matched: Index,
        effects: &mut Effects,
    ) {
        let last = self.log.last().index;
        let Some(lead) = &mut self.lead else { return };
        let Some(progress) = lead.peers.get_mut(&from.node) else { return };
        if matched > last || *progress.acted.get_or_insert(from.store) != from.store {
            return;
        }
        progress.heard = Some(now.monotonic);
        progress.appended(now.monotonic, matched);
        self.advance_commit(effects);
    }

    /// The append at `refused` did not fit. Answers to anything but what is under way are stale.
    pub(crate) fn on_conflict(&mut self, now: Now, from: VoterId, refused: EntryId, hint: EntryId) {
        let meet = self.log.last_not_above(hint).index;
        let Some(lead) = &mut self.lead else { return };
        let Some(progress) = lead.peers.get_mut(&from.node) else { return };
        progress.heard = Some(now.monotonic);
        let expected = match progress.pace {
            Pace::Probe { .. } => refused.index.0 == progress.next.0 - 1,
            Pace::Stream => refused.index < progress.next,
        };
        if expected && refused.index > progress.matched {
            progress.probe(meet.next().min(refused.index));
        }
    }

    /// Fill every open window; tell what is committed to those for whom nothing else is under way.
    pub(crate) fn send_appends(&mut self, now: Now, effects: &mut Effects) {
        let Some(lead) = &self.lead else { return };
        let peers: Vec<NodeId> = lead.peers.keys().copied().collect();
        for node in peers {
            while self.send_append(now, node, effects) {}
            let Some(progress) = self.lead.as_ref().and_then(|lead| lead.peers.get(&node)) else {
                continue;
            };
            if progress.is_idle() && progress.told < self.commit.min(progress.matched) {
                self.heartbeat(node, effects);
            }
        }
    }

    /// Send one append, if there is something to send and the window is open.
    fn send_append(&mut self, now: Now, to: NodeId, effects: &mut Effects) -> bool {
        let Some(lead) = &self.lead else { return false };
        let Some(progress) = lead.peers.get(&to) else { return false };
        let next = progress.next;
        let nothing_new = next > self.log.last().index;
        if !progress.is_open(&self.limits)
            || progress.fetch.is_some()
            || (nothing_new && progress.pace == Pace::Stream)
        {
            return false;
        }
        let recent = self.log.recent(next).map(|recent| {
            let fits = fitting(recent.clone(), &self.limits);
            recent.take(fits).cloned().collect()
        });
        match recent {
            Some(entries) => self.send_entries(now, to, entries, effects),
            None if nothing_new => self.send_entries(now, to, Vec::new(), effects),
            None => {
                self.fetch(to, next, effects);
                false
            }
        }
    }

    /// Older entries come from the disk, for this peer alone; the others go on meanwhile.
    fn fetch(&mut self, to: NodeId, first: Index, effects: &mut Effects) {
        if first < self.log.first() {
            return;
        }
        self.fetches += 1;
        let fetch = FetchId(self.fetches);
        let last = Index(self.log.recent_first().0 - 1);
        let bytes_max = u32::try_from(self.limits.append_bytes_max).unwrap_or(u32::MAX);
        if let Some(progress) = self.lead.as_mut().and_then(|lead| lead.peers.get_mut(&to)) {
            progress.fetch = Some(fetch);
            effects.push(Effect::Fetch { fetch, first, last, bytes_max });
        }
    }

    pub(crate) fn on_fetched(
        &mut self,
        now: Now,
        fetch: FetchId,
        mut entries: Vec<Entry>,
        effects: &mut Effects,
    ) {
        if self.on_fetched_for_repair(fetch, &mut entries, effects) {
            return;
        }
        let Some(lead) = &mut self.lead else { return };
        let asker = lead.peers.iter_mut().find(|(_, progress)| progress.fetch == Some(fetch));
        let Some((node, progress)) = asker else { return };
        let (node, next) = (*node, progress.next);
        progress.fetch = None;
        let fits = fitting(entries.iter(), &self.limits);
        entries.truncate(fits);
        let expected = (next.0..)
            .zip(&entries)
            .all(|(index, entry)| entry.index == index && self.log.holds(id(entry)));
        if expected && !entries.is_empty() {
            self.send_entries(now, node, entries, effects);
        } else {
            progress.pause(now.monotonic);
        }
    }

    fn send_entries(
        &mut self,
        now: Now,
        to: NodeId,
        entries: Vec<Entry>,
        effects: &mut Effects,
    ) -> bool {
        let Some(progress) = self.lead.as_mut().and_then(|lead| lead.peers.get_mut(&to)) else {
            return false;
        };
        let Some(previous) = self.log.id_of(Index(progress.next.0 - 1)) else { return false };
        let bytes = entries.iter().map(size_bytes).sum();
        let last = entries.last().map_or(previous.index, |entry| Index(entry.index));
        progress.sent(now.monotonic, last, bytes);
        progress.told = progress.told.max(self.commit.min(last));
        let message = Message::Append { term: self.term, previous, commit: self.commit, entries };
        self.send(to, message, self.tickets.hard_state, effects);
        true
    }

    pub(crate) fn has_committed_own(&self) -> bool {
        self.lead.as_ref().is_some_and(|lead| self.commit >= lead.first_own)
            && self.log.term_of(self.commit) == Some(self.term)
            && self.term > Term(0)
    }
}

/// How many of these entries one append may carry; at least the first.
pub(super) fn fitting<'a>(entries: impl Iterator<Item = &'a Entry>, limits: &Limits) -> usize {
    let mut bytes = 0;
    let fits = |(nth, entry): &(usize, &Entry)| {
        bytes += size_bytes(entry);
        *nth == 0 || bytes <= limits.append_bytes_max
    };
    entries.take(limits.append_entries_max).enumerate().take_while(fits).count()
}
