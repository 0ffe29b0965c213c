//! The end of a log that may be lost while nobody leads (research/wal.md §3.6; trap 13).
//!
//! A write that a power cut tears may leave anything in its sectors, and no log can tell that from rot
//! of what it had acknowledged. A node in such doubt neither stands for election nor votes for a log
//! that may be shorter than its own was, and with too many of them nobody would ever be elected. So it
//! asks every voter how far it can read.
//!
//! ```text
//!   asker, in doubt                                    every voter
//!     |-- Recall { term } --------------------------------->|  hears no leader: adopts the term
//!     |<- Recalled { term, readable, configuration } -------|  once term and log are durable
//! ```
//!
//! Let `d` be the newest term in which this disk can have acknowledged what it lost, and `B` the newest
//! entry that any voter can read. Once all voters, this node among them, are in terms after `d` and
//! have answered from there, what always holds:
//! - No answerer acknowledges anything of a term up to `d` any more, to whichever old leader: its newer
//!   term was durable before it answered. So what was committed in such a term is in logs already.
//! - Of a lost entry that was committed a voter holds a copy that it can read. It stood on a commit
//!   quorum, that meets every election quorum, and among the voters that lost nothing durable is such a
//!   quorum as long as no more failed than the cluster survives. Who is in doubt answers by what it can
//!   read alone: what it cannot read counts neither as held nor as never had.
//! - The same is true of the first entry of the leader that committed it. So `B` is of that term or a
//!   later one, and the log that ends in `B` holds everything committed up to `d` (leader completeness).
//! - A candidate whose log ends at `B` or later therefore holds all that was lost here and mattered, and
//!   may have this vote: that is all that is concluded where others read further than this node.
//! - Where nobody does, nothing that was lost here behind `B` was ever committed. It is given up: cut in
//!   the log, its bytes kept in the damaged segment; from then on this node stands like any other. Only
//!   what may have been acknowledged is given up so. What surely was durable here (`Corrupt`), and what
//!   is known to be committed, waits for a voter that can read it, or an operator.
//!
//! Who the voters are: those of the newest configuration that any answerer can read. Lost entries may
//! hold one more, appended and not committed: were it committed, a voter could read it, as above. That
//! one is a step away, so each of its commit quorums meets every election quorum of this one
//! (`Electorate::may_become`), and so do those of the one before: the argument stands for all three.
//!
//! There is no second rule for voters that are away and would not matter, because those who never had
//! an entry meet every commit quorum. With a configuration a step away in the lost part (of four voters
//! three, and two of these commit) only a majority of them does; they elect one of them without this
//! node, and that leader repairs it. For the same reason a voter that hears a leader says so and adopts
//! no term: doubt deposes nobody.

use std::collections::{BTreeMap, BTreeSet};

use election::{EntryId, Index, Micros, NodeId, Term, VoterId};
use wal::FaultyKind;

use super::{Core, electorate};
use crate::{ClusterConfig, Effects, Message, Now, Unread};

#[derive(Debug, Default)]
pub(crate) struct Recall {
    /// Not before.
    ask_at: Micros,
    /// Questions before this one were asked of another doubt, or before a leader was heard.
    first: u64,
    /// The newest answer of each voter.
    answers: BTreeMap<NodeId, Answer>,
    given_up: Option<Index>,
}

/// What a voter answered.
#[derive(Clone, Debug)]
struct Answer {
    from: VoterId,
    term: Term,
    readable: EntryId,
    config_index: Index,
    config: ClusterConfig,
}

impl Recall {
    /// Questions have later names than this one.
    pub(crate) fn new(names: u64) -> Self {
        Self { first: names + 1, ..Self::default() }
    }
}

impl Core {
    pub(crate) fn recall_deadline(&self) -> Option<Micros> {
        self.may_recall().then_some(self.recall.ask_at)
    }

    /// Ask, unless a leader is heard. Gives the term to go to when all have answered and are to answer
    /// again from there.
    pub(crate) fn recall(&mut self, now: Now, hears: bool, effects: &mut Effects) -> Option<Term> {
        if hears || !self.may_recall() {
            // A leader knows better than any answer.
            self.recall.answers.clear();
            self.recall.first = self.names + 1;
            self.recall.ask_at = now.monotonic.plus(self.timing.append_retry);
            return None;
        }
        let doubt = self.log.doubt_term();
        if self.term <= doubt
            && self.log.is_end_in_doubt()
            && self.newest_readable(Term(0)).is_some()
        {
            self.recall.ask_at = now.monotonic;
            return Some(doubt.next());
        }
        if now.monotonic >= self.recall.ask_at {
            self.recall.ask_at = now.monotonic.plus(self.timing.append_retry);
            let message = Message::Recall { id: self.name(), term: self.term };
            for voter in self.newest_voters() {
                self.send_to(voter, message.clone(), self.tickets.hard_state, effects);
            }
        }
        None
    }

    /// Is the end of the log lost, and can anybody be asked about it?
    fn may_recall(&self) -> bool {
        let is_alone = self.electorate.voters() == [self.me.node];
        self.log.is_end_lost() && self.lead.is_none() && !is_alone
    }

    /// Somebody's end is in doubt. Its term was adopted, unless a leader is heard.
    pub(crate) fn on_recall(&self, from: VoterId, id: u64, hears: bool, effects: &mut Effects) {
        let (term, readable) = (self.term, self.log.readable_last());
        let config_index = self.log.config_index();
        let config = self.log.config().encode().into();
        let message = Message::Recalled { id, term, hears, readable, config_index, config };
        self.send_to(from, message, self.tickets.issued, effects);
    }

    /// A voter says how far it can read; this node hears no leader.
    pub(crate) fn on_recalled(
        &mut self,
        now: Now,
        from: VoterId,
        message: Message,
        effects: &mut Effects,
    ) {
        let Message::Recalled { id, term, hears, readable, config_index, config } = message else {
            return;
        };
        let is_asked = (self.recall.first..=self.names).contains(&id);
        if !is_asked || !self.may_recall() {
            return;
        }
        self.recall.answers.remove(&from.node);
        let Ok(config) = ClusterConfig::decode(&config) else { return };
        if hears || electorate(&config).is_err() {
            return;
        }
        if self.newest_voters().contains(&from) {
            let answer = Answer { from, term, readable, config_index, config };
            self.recall.answers.insert(from.node, answer);
            self.conclude(now, effects);
        }
    }

    /// The newest configuration in this log or that of an answerer.
    fn newest_config(&self) -> (Index, &ClusterConfig) {
        let told = self.recall.answers.values().map(|answer| (answer.config_index, &answer.config));
        let own = (self.log.config_index(), self.log.config());
        told.fold(own, |newest, told| if told.0 > newest.0 { told } else { newest })
    }

    /// The other voters of that configuration, as far as their disks are known.
    fn newest_voters(&self) -> Vec<VoterId> {
        let (_, config) = self.newest_config();
        let others = config.voters.iter().filter(|member| member.node != self.me.node);
        let known = others.filter_map(|member| match member.store {
            Some(store) => Some(VoterId { node: member.node, store }),
            None => self.identity(member.node),
        });
        known.collect()
    }

    /// The newest entry that any voter can read, if every voter has answered from a term after this one.
    fn newest_readable(&self, term: Term) -> Option<EntryId> {
        let (index, config) = self.newest_config();
        let mine = (self.me, self.term, self.log.readable_last());
        let readable = |node: NodeId| {
            let answer = self.recall.answers.get(&node).filter(|_| node != self.me.node);
            let answer = answer.map(|answer| (answer.from, answer.term, answer.readable));
            let (from, answered_in, readable) = answer.unwrap_or(mine);
            let counts = from.node == node && answered_in > term && self.names(index, config, from);
            counts.then_some(readable)
        };
        let mut newest = EntryId::default();
        for member in &config.voters {
            newest = newest.max(readable(member.node)?);
        }
        Some(newest)
    }

    fn conclude(&mut self, now: Now, effects: &mut Effects) {
        let Some(newest) = self.newest_readable(self.log.doubt_term()) else { return };
        let mine = self.log.readable_last();
        self.log.bound_loss(newest);
        if newest > mine || mine.index < self.commit || !self.log.is_end_in_doubt() {
            return;
        }
        self.recall.given_up = Some(mine.index.next());
        if mine.index < self.log.last().index {
            self.truncate_after(now, mine.index, effects);
        }
        if self.log.faulty().is_end_in_doubt() {
            self.persist(now, wal::Op::Settle, effects);
            self.log.settle();
        }
    }

    /// From here on entries that nobody could read were given up.
    pub(crate) const fn given_up(&self) -> Option<Index> {
        self.recall.given_up
    }

    /// Ranges that no voter can read that could be asked.
    pub(crate) fn unread(&self) -> Vec<Unread> {
        let voters = self.electorate.voters().iter().copied();
        let others: Vec<NodeId> = voters.filter(|node| *node != self.me.node).collect();
        let ranges = self.log.faulty().list().into_iter();
        let unread = ranges.map(|range| {
            let mut asked: BTreeSet<NodeId> = self.refused(&range).collect();
            if range.first > self.log.readable_last().index.0 {
                let cannot = |answer: &&Answer| answer.readable.index.0 < range.first;
                let answers = self.recall.answers.values();
                asked.extend(answers.filter(cannot).map(|answer| answer.from.node));
            }
            let last = (range.kind != FaultyKind::EndUnknown).then_some(Index(range.last));
            Unread { first: Index(range.first), last, asked: asked.into_iter().collect() }
        });
        let is_sure = |unread: &Unread| {
            let has_answered = |node: &NodeId| unread.asked.contains(node);
            let connected = others.iter().filter(|node| self.is_connected(**node));
            !unread.asked.is_empty() && connected.into_iter().all(has_answered)
        };
        unread.filter(is_sure).collect()
    }
}
