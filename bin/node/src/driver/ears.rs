//! Who listens to the fold, and whom an entry wakes: most entries concern few of many listeners.
//!
//! What always holds: after an entry that may concern an account was applied, each of its listeners has
//! been called and knows the first such entry, until it has asked for what there is.

use std::{collections::BTreeMap, sync::Arc};

use chat::AccountId;
use tokio::sync::Notify;

/// One listener's place among them, and how it is called.
#[derive(Debug)]
pub(crate) struct Ear {
    key: Key,
    call: Arc<Notify>,
}

/// Whose it is, and which one.
type Key = (AccountId, u64);

/// All listeners.
#[derive(Debug, Default)]
pub(crate) struct Ears {
    opened: u64,
    ears: BTreeMap<Key, Listening>,
}

#[derive(Debug)]
struct Listening {
    /// The first entry that may concern it since it asked; none when none did.
    first: Option<u64>,
    call: Arc<Notify>,
}

impl Ear {
    pub(crate) const fn account(&self) -> AccountId {
        self.key.0
    }

    /// Until it is called; at once, when it was since the last time.
    pub(crate) async fn called(&self) {
        self.call.notified().await;
    }
}

impl Ears {
    /// A listener to all above `cursor`.
    pub(crate) fn open(&mut self, account: AccountId, cursor: u64) -> Ear {
        self.opened += 1;
        let key = (account, self.opened);
        let call = Arc::new(Notify::new());
        let listening =
            Listening { first: Some(cursor.saturating_add(1)), call: Arc::clone(&call) };
        self.ears.insert(key, listening);
        Ear { key, call }
    }

    pub(crate) fn close(&mut self, ear: &Ear) {
        self.ears.remove(&ear.key);
    }

    /// The first entry that may concern it since it asked.
    pub(crate) fn first(&self, ear: &Ear) -> Option<u64> {
        self.ears.get(&ear.key)?.first
    }

    /// It asked; what is left begins at `first`.
    pub(crate) fn heard(&mut self, ear: &Ear, first: Option<u64>) {
        if let Some(listening) = self.ears.get_mut(&ear.key) {
            listening.first = first;
        }
    }

    /// The entry at `index` was applied, and concerns `only` these, or may concern everyone. Those who
    /// have to be woken for it are added to `calls`.
    pub(crate) fn call(
        &mut self,
        index: u64,
        only: Option<[AccountId; 2]>,
        calls: &mut Vec<Arc<Notify>>,
    ) {
        let Some([one, other]) = only else {
            return self.ears.values_mut().for_each(|ear| ear.call(index, calls));
        };
        for (_, ear) in self.ears.range_mut(all_of(one)) {
            ear.call(index, calls);
        }
        if other != one {
            for (_, ear) in self.ears.range_mut(all_of(other)) {
                ear.call(index, calls);
            }
        }
    }
}

impl Listening {
    fn call(&mut self, index: u64, calls: &mut Vec<Arc<Notify>>) {
        if self.first.is_none() {
            self.first = Some(index);
            calls.push(Arc::clone(&self.call));
        }
    }
}

fn all_of(account: AccountId) -> std::ops::RangeInclusive<Key> {
    (account, 0)..=(account, u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: AccountId = AccountId(1);
    const BOB: AccountId = AccountId(2);
    const CARL: AccountId = AccountId(3);

    #[test]
    fn only_those_whom_it_concerns_are_called_and_once() {
        let mut ears = Ears::default();
        let [ann, bob, again, carl] = [ANN, BOB, BOB, CARL].map(|who| ears.open(who, 4));
        for ear in [&ann, &bob, &again, &carl] {
            assert_eq!(ears.first(ear), Some(5), "nobody has asked yet");
            ears.heard(ear, None);
        }
        let mut calls = Vec::new();
        ears.call(7, Some([ANN, BOB]), &mut calls);
        ears.call(8, Some([BOB, BOB]), &mut calls);
        assert_eq!(calls.len(), 3);
        let firsts = [&ann, &bob, &again, &carl].map(|ear| ears.first(ear));
        assert_eq!(firsts, [Some(7), Some(7), Some(7), None]);
        ears.heard(&bob, None);
        ears.close(&again);
        ears.call(9, None, &mut calls);
        assert_eq!(calls.len(), 5, "those who know already need no call");
        let firsts = [&ann, &bob, &again, &carl].map(|ear| ears.first(ear));
        assert_eq!(firsts, [Some(7), Some(9), None, Some(9)]);
    }
}
