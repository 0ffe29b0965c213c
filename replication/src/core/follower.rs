//! The follower's part: make the log equal to the leader's.
//!
//! What always holds:
//! - entries are cut only where the leader's differ, and never at or below the commit index: a
//!   stale or repeated append changes nothing (research trap 36);
//! - what is acknowledged is durable by then;
//! - the commit index follows the leader's only as far as this log is known to equal the leader's
//!   (trap 37).

use election::{EntryId, Index, Term, Ticket, VoterId};
use wal::{Entry, EntryKind};

use super::{Core, electorate, log::id, repair::Fit};
use crate::{ClusterConfig, Effects, Halt, Message, Now, Room};

impl Core {
    pub(crate) fn on_heartbeat(
        &mut self,
        now: Now,
        from: VoterId,
        (commit, round, matched): (Index, u64, Index),
        effects: &mut Effects,
    ) {
        self.check_counted(now, from, matched, effects);
        self.answer_heartbeat(now, from, round, effects);
        self.set_commit(commit.min(self.verified), effects);
    }

    /// Also to a leader of an older term, which so learns of the newer one (trap 29), and to one whom
    /// the configuration here does not know yet.
    pub(crate) fn answer_heartbeat(
        &self,
        now: Now,
        to: VoterId,
        round: u64,
        effects: &mut Effects,
    ) {
        let fitness = self.fitness(now);
        let (term, wall, level) = (self.term, now.wall, self.understands);
        let message = Message::HeartbeatAnswer { term, round, wall, fitness, level };
        self.send_to(to, message, self.tickets.hard_state, effects);
    }

    pub(crate) fn refuse_append(
        &self,
        to: VoterId,
        refused: EntryId,
        hint: EntryId,
        effects: &mut Effects,
    ) {
        let message = Message::Conflict { term: self.term, refused, hint };
        self.send_to(to, message, self.tickets.issued, effects);
    }

    /// An append of the leader of this term.
    pub(crate) fn on_append(
        &mut self,
        now: Now,
        from: VoterId,
        (previous, commit, entries): (EntryId, Index, Vec<Entry>),
        effects: &mut Effects,
    ) {
        let Some(configs) = self.check(previous, &entries) else { return };
        if let Some(level) = self.beyond_me(configs.iter().map(|(_, config)| config)) {
            return self.halt(Halt::TooOld { level }, effects);
        }
        let mut told = std::iter::once(previous).chain(entries.iter().map(id));
        let contradicts = |told: &EntryId| told.index <= self.commit && self.log.contradicts(*told);
        if let Some(conflict) = told.find(contradicts) {
            return self.halt(Halt::Diverged { at: conflict.index }, effects);
        }
        if previous.index > self.commit && !self.log.holds(previous) {
            let hint = self.log.last_not_above(previous);
            return self.refuse_append(from, previous, hint, effects);
        }
        self.verified = self.verified.max(previous.index);
        let (mut end, mut news) = self.mend(now, previous.index, entries, effects);
        let first_command = news.iter().position(|entry| entry.kind == EntryKind::Command);
        if let Some(first_command) = first_command.filter(|_| self.room == Room::None) {
            // A new leader's own entry is small, comes once a term, and is what reads wait for: it is
            // taken though commands came with it.
            news.truncate(first_command);
            let Some(last) = news.last() else { return };
            end = Index(last.index);
        }
        if let Some(first) = news.first().map(|entry| Index(entry.index)) {
            let taken = first..=end;
            let configs: Vec<(Index, ClusterConfig)> =
                configs.into_iter().filter(|(index, _)| taken.contains(index)).collect();
            if !self.may_follow(Index(first.0 - 1), &configs) {
                return;
            }
            if first <= self.log.last().index {
                self.truncate_after(now, Index(first.0 - 1), effects);
            }
            self.append(now, news, configs, effects);
        }
        self.verified = self.verified.max(end);
        let matched = end.min(self.log.readable_from(self.commit));
        let message = Message::Appended { term: self.term, matched };
        self.send_to(from, message, self.acknowledge_after(), effects);
        self.set_commit(commit.min(self.verified), effects);
        self.settle_if_sure(now, effects);
    }

    /// Take from the leader's entries what stands in the place of lost ones. Gives the last entry that
    /// is here, and those behind it that are not.
    fn mend(
        &mut self,
        now: Now,
        previous: Index,
        mut entries: Vec<Entry>,
        effects: &mut Effects,
    ) -> (Index, Vec<Entry>) {
        let (verified, has_space) = (self.verified, self.room != Room::None);
        let fits: Vec<Fit> =
            entries.iter().map(|entry| self.log.fit(entry, verified, has_space)).collect();
        let is_here = |fit: &&Fit| matches!(fit, Fit::Held | Fit::Mends);
        let here = fits.iter().take_while(is_here).count();
        let is_unsure = fits.get(here) == Some(&Fit::Unsure);
        let mut news = entries.split_off(here);
        if is_unsure {
            news.clear();
        }
        let end = entries.last().map_or(previous, |entry| Index(entry.index));
        let end = news.last().map_or(end, |entry| Index(entry.index));
        for (entry, _) in entries.into_iter().zip(fits).filter(|(_, fit)| *fit == Fit::Mends) {
            self.repair_one(now, entry, effects);
        }
        (end, news)
    }

    /// The newest ticket covers the entries, also those that an earlier append brought.
    fn acknowledge_after(&self) -> Ticket {
        self.tickets.issued
    }

    /// Is an append well formed: dense, of terms that rise no higher than the leader's, intact, its
    /// configurations sound? Gives the configurations.
    fn check(&self, previous: EntryId, entries: &[Entry]) -> Option<Vec<(Index, ClusterConfig)>> {
        let stands = previous.index > Index(0) || previous == EntryId::default();
        if !stands || previous.term > self.term {
            return None;
        }
        let mut configs = Vec::new();
        let mut before = previous;
        for entry in entries {
            let at = id(entry);
            let follows = Some(at.index.0) == before.index.0.checked_add(1)
                && at.term >= before.term
                && (Term(1)..=self.term).contains(&at.term);
            if !follows || !entry.is_intact() {
                return None;
            }
            if entry.kind == EntryKind::Config {
                let config = ClusterConfig::decode(&entry.payload).ok()?;
                electorate(&config).ok()?;
                configs.push((at.index, config));
            }
            before = at;
        }
        Some(configs)
    }

    /// The leader's log differs from here on.
    pub(super) fn truncate_after(&mut self, now: Now, index: Index, effects: &mut Effects) {
        assert!(index >= self.commit, "what is committed is never cut");
        self.persist(now, wal::Op::TruncateAfter(index.0), effects);
        self.verified = self.verified.min(index);
        let reconfigured = self.log.truncate_after(index);
        self.proposals.truncated(index, effects);
        if reconfigured {
            self.config_changed(effects);
        }
    }
}
