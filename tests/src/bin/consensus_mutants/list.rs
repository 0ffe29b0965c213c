//! The rules, each with the smallest change that takes it away: the traps of research/consensus.md
//! §2, put back.

/// One rule, taken away.
pub(super) struct Mutant {
    /// Which of the 48.
    pub(super) trap: u8,
    pub(super) name: &'static str,
    /// In words.
    pub(super) removed: &'static str,
    /// Within so many seeds one must break a law.
    pub(super) seeds: u64,
    /// In which file, what is replaced, and by what: statements when it ends with a line, else an
    /// expression. Each old text is in its file exactly once.
    pub(super) changes: &'static [(&'static str, &'static str, &'static str)],
}

const BINDING: &str = "replication/src/core/binding.rs";
const CHANGE: &str = "replication/src/config/change.rs";
const CHAT: &str = "chat/src/apply.rs";
const CHAT_MESSAGE: &str = "chat/src/apply/message.rs";
const COMMIT: &str = "replication/src/core/commit.rs";
const CORE: &str = "replication/src/core.rs";
const ELECTION: &str = "election/src/election.rs";
const FOLLOWER: &str = "replication/src/core/follower.rs";
const HANDOVER: &str = "replication/src/core/handover.rs";
const LEADER: &str = "replication/src/core/leader.rs";
const LOG: &str = "replication/src/core/log.rs";
const MEMBERS: &str = "replication/src/core/members.rs";
const PROPOSAL: &str = "replication/src/core/proposal.rs";
const READ: &str = "replication/src/core/read.rs";
const READING: &str = "replication/src/core/reading.rs";
const REPAIR: &str = "replication/src/core/repair.rs";
const REPLICA: &str = "replication/src/replica.rs";
const STANDING: &str = "replication/src/core/standing.rs";

/// All of them.
pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        trap: 1,
        name: "vote-before-fsync",
        removed: "the wait of a vote for its fsync",
        seeds: 300,
        changes: &[(REPLICA, "self.core.tickets.issued", "election::Ticket(0)")],
    },
    Mutant {
        trap: 1,
        name: "vote-not-written",
        removed: "the vote in the record that is written",
        seeds: 300,
        changes: &[(
            CORE,
            "hard_state.voted_for.map(vote)",
            "hard_state.voted_for.map(vote).and(None)",
        )],
    },
    Mutant {
        trap: 3,
        name: "vote-forgotten",
        removed: "the memory of a vote when a node goes back to following",
        seeds: 300,
        changes: &[(
            ELECTION,
            "State::Follower(Follower {\n            leader: None,\n            heard: now,\n            \
             patience: NEVER,\n            suspected: false,\n            campaign_at,\n        })",
            "{ self.hard_state.voted_for = None; State::Follower(Follower { leader: None, heard: now, \
             patience: NEVER, suspected: false, campaign_at }) }",
        )],
    },
    Mutant {
        trap: 4,
        name: "entry-before-term",
        removed: "the term on disk before its first entry",
        seeds: 300,
        changes: &[(
            CORE,
            "        self.tickets.hard_state = self.persist(now, op, effects);\n",
            "if voted_for.is_some() { self.tickets.hard_state = self.persist(now, op, effects); }",
        )],
    },
    Mutant {
        trap: 5,
        name: "acknowledge-before-fsync",
        removed: "the wait of an acknowledgement for its fsync",
        seeds: 300,
        changes: &[(FOLLOWER, "self.acknowledge_after()", "Ticket(0)")],
    },
    Mutant {
        trap: 9,
        name: "old-write-counts",
        removed: "the order of tickets: an old write makes a rewritten index durable",
        seeds: 1_000,
        changes: &[(
            LOG,
            "        for (_, end) in &mut self.unsynced {\n            *end = (*end).min(index);\n        }\n",
            "",
        )],
    },
    Mutant {
        trap: 10,
        name: "own-copy-before-fsync",
        removed: "the wait of the leader's own copy for its fsync",
        seeds: 300,
        changes: &[(COMMIT, "self.log.durable()", "self.log.last().index")],
    },
    Mutant {
        trap: 13,
        name: "stand-with-a-damaged-log",
        removed: "the rule that who cannot read its log leads nobody",
        seeds: 300,
        changes: &[(
            HANDOVER,
            "self.leaving || self.draining || self.is_damaged()",
            "self.leaving || self.draining",
        )],
    },
    Mutant {
        trap: 14,
        name: "cut-without-proof",
        removed: "the proof that a lost end was never committed",
        seeds: 300,
        changes: &[
            (REPAIR, "said.filter(|(_, end)| *end <= self.verified)", "said"),
            (
                REPAIR,
                "!own_committed || self.log.readable_from(Index(0)) < end",
                "!own_committed && end > Index(u64::MAX - 1)",
            ),
            (
                REPAIR,
                "readable < self.log.last().index && readable >= self.verified",
                "readable < self.log.last().index",
            ),
        ],
    },
    Mutant {
        trap: 18,
        name: "any-disk-of-its-number",
        removed: "the disk in an identity: an empty one stands for the lost one",
        seeds: 300,
        changes: &[
            (STANDING, "store == id.store", "store == id.store || id.node.0 > 0"),
            (STANDING, "store == self.me.store", "store == self.me.store || self.me.node.0 > 0"),
            (BINDING, "store == from.store", "store == from.store || from.node.0 > 0"),
            (BINDING, "store == self.me.store && index > Index(0)", "index > Index(0)"),
        ],
    },
    Mutant {
        trap: 19,
        name: "members-from-the-genesis",
        removed: "the configurations of the log at a restart",
        seeds: 300,
        changes: &[(CORE, "        configs.extend(boot.configs);\n", "drop(boot.configs);")],
    },
    Mutant {
        trap: 20,
        name: "two-changes-at-once",
        removed: "the wait of a configuration for the one before, and for an own entry",
        seeds: 300,
        changes: &[(
            MEMBERS,
            "self.log.config_index() <= self.commit && self.has_committed_own()",
            "self.lead.is_some()",
        )],
    },
    Mutant {
        trap: 21,
        name: "quorums-that-do-not-meet",
        removed: "the check that all old and new quorums meet",
        seeds: 300,
        changes: &[
            (CHANGE, "Mode::Pair", "Mode::Armed { survivor: self.voters[0].node }"),
            (MEMBERS, "self.electorate.may_become(&next)", "next.voters().len() > 0"),
            (MEMBERS, "old.may_become(&new)", "old.voters().len() + new.voters().len() > 0"),
        ],
    },
    Mutant {
        trap: 22,
        name: "configuration-stays",
        removed: "the end of a configuration when its entry is cut",
        seeds: 1_000,
        changes: &[(LOG, "        self.configs.retain(|(at, _)| *at <= index);\n", "")],
    },
    Mutant {
        trap: 25,
        name: "learner-counts",
        removed: "the rule that a learner's copy counts for nothing",
        seeds: 1_000,
        changes: &[(
            COMMIT,
            "self.electorate.commits(|node| held(node) >= *index)",
            "{ let peers = lead.peers.values().filter(|peer| peer.counts() >= *index).count(); \
             let mine = usize::from(held(self.me.node) >= *index); (peers + mine) * 2 > voters.len() }",
        )],
    },
    Mutant {
        trap: 26,
        name: "stand-by-its-number",
        removed: "the disk in what a node finds of itself in its log",
        seeds: 1_000,
        changes: &[
            (
                STANDING,
                "member.node == self.me.node && self.is_me(member)",
                "member.node == self.me.node",
            ),
            (STANDING, "member.is_some_and(|member| self.is_me(member))", "member.is_some()"),
        ],
    },
    Mutant {
        trap: 27,
        name: "no-pre-vote",
        removed: "the question before an election",
        seeds: 300,
        changes: &[(ELECTION, "self.electorate.elects(|node| node == self.me.node)", "true")],
    },
    Mutant {
        trap: 27,
        name: "no-loyalty",
        removed: "the loyalty of those who hear a leader",
        seeds: 300,
        changes: &[(
            ELECTION,
            "now.since(follower.heard) < self.timer.timing().election_timeout",
            "false",
        )],
    },
    Mutant {
        trap: 28,
        name: "no-check-of-quorum",
        removed: "the end of a leader that hears no quorum",
        seeds: 300,
        changes: &[(ELECTION, "self.electorate.elects(fresh)", "true")],
    },
    Mutant {
        trap: 29,
        name: "refusal-without-term",
        removed: "the refuser's term in its refusal",
        seeds: 1_000,
        changes: &[
            (
                ELECTION,
                "if granted { term } else { self.term() }",
                "if granted { term } else { Term(0) }",
            ),
            (
                ELECTION,
                "Message::VoteAnswer { term: self.term(), granted }",
                "Message::VoteAnswer { term: if granted { self.term() } else { Term(0) }, granted }",
            ),
        ],
    },
    Mutant {
        trap: 29,
        name: "old-leader-unanswered",
        removed: "the answer to a leader of an older term",
        seeds: 1_000,
        changes: &[
            (REPLICA, "self.core.answer_heartbeat(now, from, round, effects);\n", ""),
            (
                REPLICA,
                "self.core.refuse_append(from, previous, EntryId::default(), effects);\n",
                "",
            ),
        ],
    },
    Mutant {
        trap: 30,
        name: "faith-in-the-old-leader",
        removed: "the end of faith when a node itself asks for an election",
        seeds: 300,
        changes: &[(
            ELECTION,
            "!self.hears_leader(now)",
            "matches!(self.state, State::Follower(_)) && !self.hears_leader(now)",
        )],
    },
    Mutant {
        trap: 31,
        name: "append-of-another-term",
        removed: "the term of an append: one of an older term is taken in the newer",
        seeds: 300,
        changes: &[(
            REPLICA,
            "term == self.core.term && self.core.leader == Some(leader.node)",
            "self.core.leader != Some(self.core.me.node)",
        )],
    },
    Mutant {
        trap: 31,
        name: "answer-of-another-term",
        removed: "the term of an answer: one to a leader of an older term counts in the newer",
        seeds: 1_000,
        changes: &[(
            REPLICA,
            "term == self.core.term && self.core.lead.is_some()",
            "self.core.lead.is_some()",
        )],
    },
    Mutant {
        trap: 32,
        name: "stalled-leader-stays",
        removed: "the end of a leader whose disk has stalled",
        seeds: 300,
        changes: &[(
            HANDOVER,
            "self.tickets.is_stalled(now.monotonic, self.timing.disk_stall)",
            "false",
        )],
    },
    Mutant {
        trap: 33,
        name: "commit-by-counting",
        removed: "the own-term rule: entries of older terms commit by counting",
        seeds: 1_000,
        changes: &[(COMMIT, "self.log.term_of(index) == Some(self.term)", "true")],
    },
    Mutant {
        trap: 34,
        name: "hand-over-for-ever",
        removed: "the end of a hand-over that nobody takes",
        seeds: 300,
        changes: &[(
            HANDOVER,
            "done || (over.why.is_final() && now.monotonic >= over.until)",
            "done",
        )],
    },
    Mutant {
        trap: 36,
        name: "truncate-always",
        removed: "the look for a real conflict before a suffix is cut",
        seeds: 300,
        changes: &[(FOLLOWER, "fits.iter().take_while(is_here).count()", "0")],
    },
    Mutant {
        trap: 37,
        name: "commit-beyond-match",
        removed: "the bounds of a commit index by what is known to match",
        seeds: 300,
        changes: &[
            (
                LEADER,
                "Message::Heartbeat { term: self.term, commit, round, matched }",
                "Message::Heartbeat { term: self.term, commit: self.commit.max(commit), round, matched }",
            ),
            (
                FOLLOWER,
                "        self.answer_heartbeat(now, from, round, effects);\n        self.set_commit(commit.min(self.verified), effects);\n",
                "self.answer_heartbeat(now, from, round, effects); self.set_commit(commit.min(self.log.last().index), effects);",
            ),
        ],
    },
    Mutant {
        trap: 40,
        name: "read-without-round",
        removed: "the quorum that confirms a leader before a read",
        seeds: 300,
        changes: &[(
            READING,
            "peers.get(&node).is_some_and(|peer| peer.answered_round >= round)",
            "peers.contains_key(&node) && round > 0",
        )],
    },
    Mutant {
        trap: 40,
        name: "read-in-an-older-round",
        removed: "the start of a new round for a read: it joins the one that is under way",
        seeds: 1_000,
        changes: &[(
            READ,
            "        self.waiting.push(reader);\n",
            "match self.started.back_mut() { Some(round) => round.readers.push(reader), \
             None => self.waiting.push(reader) }",
        )],
    },
    Mutant {
        trap: 41,
        name: "read-before-own-entry",
        removed: "the wait of reads for a committed entry of the leader's own term",
        seeds: 300,
        changes: &[
            (READING, "wanted && self.has_committed_own()", "wanted"),
            (
                LEADER,
                "        if may_read {\n            lead.rounds.start(lead.round, self.commit);\n        }\n",
                "lead.rounds.start(lead.round, self.commit);",
            ),
        ],
    },
    Mutant {
        trap: 43,
        name: "unknown-as-refused",
        removed: "the outcome \"unknown\": what may yet be committed counts as refused",
        seeds: 300,
        changes: &[(
            PROPOSAL,
            "        for (id, _) in std::mem::take(&mut self.asked).into_values() {\n            \
             reply(id, Outcome::Unknown, effects);\n        }\n",
            "for (id, _) in std::mem::take(&mut self.asked).into_values() { \
             reply(id, Outcome::NotAccepted(Refusal::NoLeader), effects); }",
        )],
    },
    Mutant {
        trap: 43,
        name: "retry-applied-again",
        removed: "the memory of requests: a retry takes effect again",
        seeds: 300,
        changes: &[(
            CHAT,
            "actor.requests.admit(request, body_hash, entry.time_us)",
            "Admission::Fresh",
        )],
    },
    Mutant {
        trap: 44,
        name: "time-of-the-node",
        removed: "the leader's stamp: log time is taken from the node's clock",
        seeds: 300,
        changes: &[(
            CHAT,
            "self.begin(index, stamp_us)",
            "{ extern crate std; let clock = std::time::SystemTime::UNIX_EPOCH.elapsed(); \
             self.begin(index, stamp_us + u64::from(clock.map_or(0, |now| now.subsec_micros()))) }",
        )],
    },
    Mutant {
        trap: 45,
        name: "order-of-a-hash",
        removed: "the one order of a pair: a hash with a random key decides",
        seeds: 300,
        changes: &[(
            CHAT_MESSAGE,
            "        self.directs.insert((low, high), id);\n",
            "extern crate std; use std::hash::BuildHasher; \
             let random = std::collections::hash_map::RandomState::new().hash_one(id.0); \
             self.directs.insert(if random % 2 == 0 { (low, high) } else { (high, low) }, id);",
        )],
    },
];
