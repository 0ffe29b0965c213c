//! Housekeeping: what has ended or is too old is judged so at every entry, and removed here.
//!
//! Removing shows in no outcome; it only keeps memory to what a day of requests and the living
//! sessions need. It goes with the commands, one account each in turn and a bounded piece of it, so
//! that no entry pays for a whole day's.

use crate::{
    apply::Entry,
    id::AccountId,
    limits::{SWEEP_EVERY, SWEPT_REQUESTS_MAX},
    state::State,
};

impl State {
    /// If it is this entry's turn, tidy up the next account, or go on with the one that was not
    /// finished.
    pub(super) fn sweep_next(&mut self, Entry { index, time_us }: Entry) {
        if !index.is_multiple_of(SWEEP_EVERY) {
            return;
        }
        let Some((id, account)) = self.accounts.next_after(self.swept) else { return };
        let forgotten = account.requests.forget_old(time_us, SWEPT_REQUESTS_MAX);
        if forgotten < SWEPT_REQUESTS_MAX {
            self.sweep_sessions(id, time_us);
            self.swept = id;
        }
    }

    /// Remove what is left of the sessions of an account that have ended.
    pub(super) fn sweep_sessions(&mut self, id: AccountId, time_us: u64) {
        // Ids and times rise together: the oldest come first.
        while let Some(oldest) = self.account_known_mut(id).sessions.first_entry() {
            if !oldest.get().has_ended(time_us) {
                return;
            }
            for token in oldest.remove().all_tokens() {
                self.tokens.remove(token);
            }
        }
    }
}
