//! The last look: what every account can read at the end, on every node, is what the ledger says.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use chat::{AccountId, Command, ConversationId, MessageId, Posted, RequestId};
use election::NodeId;
use replication::split_stamp;

use super::{
    checkers::Violation,
    node::{Failure, Process},
    world::World,
};

/// As many messages as one question may bring.
const PAGE: usize = 200;

impl World {
    /// Every conversation, as its members read it on this node: complete, gapless, each message
    /// once, each with the text of its request or of an edit, and none that is deleted.
    pub(super) fn check_history(&self, id: NodeId) -> Result<(), Failure> {
        let process = self.nodes[&id].process.as_ref().expect("all nodes are up at the end");
        let mut seen: BTreeMap<ConversationId, BTreeMap<u64, MessageId>> = BTreeMap::new();
        let mut requests = BTreeSet::new();
        for account in self.workload.accounts() {
            let mut cursor = 0;
            loop {
                let page = process.state.messages_after(account, cursor, PAGE);
                let Some(last) = page.last() else {
                    break;
                };
                cursor = last.id.0;
                for at in page {
                    self.check_text(process, account, &at)?;
                    let Posted { conversation, seq, id, .. } = at;
                    let before = seen.entry(conversation).or_default().insert(seq, id);
                    if before.is_some_and(|before| before != id) {
                        return broken(format!("two messages have seq {seq} of {conversation}"));
                    }
                }
            }
        }
        let mut expected: BTreeMap<ConversationId, BTreeMap<u64, MessageId>> = BTreeMap::new();
        for (conversation, seq, index, request) in self.workload.ledger.sent() {
            expected.entry(conversation).or_default().insert(seq, MessageId(index));
            if request_at(process, index)? != request || !requests.insert(index) {
                return broken(format!("node {id}: the entry {index} is not the send {request}"));
            }
        }
        // A conversation that everyone has left is to be seen by nobody.
        expected.retain(|conversation, _| seen.contains_key(conversation));
        seen.retain(|_, messages| !messages.is_empty());
        if seen != expected {
            return broken(format!(
                "node {id}: its members read {seen:?}, and sent were {expected:?}"
            ));
        }
        Ok(())
    }

    /// A message has a text, unless it is deleted; for all that were deleted it has none.
    fn check_text(&self, process: &Process, reader: AccountId, at: &Posted) -> Result<(), Failure> {
        let Some(index) = at.body else { return Ok(()) };
        if self.workload.ledger.is_gone(at.id) {
            return broken(format!("{reader} reads the deleted message {at:?}"));
        }
        let command = command_at(process, index)?;
        match process.state.view(reader, at, Some(&command)) {
            Some(_) => Ok(()),
            None => broken(format!("{reader} finds no text of {at:?} at {index}")),
        }
    }
}

fn broken<T>(reason: String) -> Result<T, Failure> {
    Err(Violation(reason).into())
}

/// The request of the command at `index`, read from the log.
pub(super) fn request_at(process: &Process, index: u64) -> Result<RequestId, Failure> {
    Ok(command_at(process, index)?.request())
}

fn command_at(process: &Process, index: u64) -> Result<Command, Failure> {
    let body: Option<Bytes> = process
        .reader
        .entry(index)?
        .and_then(|entry| split_stamp(&entry.payload))
        .map(|(_, body)| body);
    let body = body.ok_or_else(|| Violation(format!("the entry {index} is gone")))?;
    Ok(Command::decode(&body).map_err(|error| Violation(error.to_string()))?)
}
