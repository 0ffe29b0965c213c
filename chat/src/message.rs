//! The messages of a conversation, without their bodies: 20 bytes each, and a little more for each
//! that answers another, was edited or is deleted.
//!
//! `seq` is a message's place, from 1, so it has no gaps. Ids and times rise strictly with it.
//! Full chunks never change, and are shared by all copies of the state. A deleted message keeps its
//! place for good, and nothing else.

use alloc::{collections::BTreeMap, sync::Arc, vec::Vec};

use crate::id::MessageId;

/// Messages in a full chunk.
const CHUNK_MESSAGES: usize = 512;
/// Words of a chunk's bits.
const CHUNK_WORDS: usize = CHUNK_MESSAGES / 64;

/// One message. Packed to 4 bytes, because there may be tens of millions.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(C, packed(4))]
pub(crate) struct Post {
    /// Index of the entry that sent it; the message's id.
    pub(crate) index: u64,
    /// Log time.
    pub(crate) time_us: u64,
    /// Ordinal of the account that wrote it.
    pub(crate) author: u32,
}

const _: () = assert!(size_of::<Post>() == 20, "a message costs 20 bytes of memory");

/// All messages of a conversation, in order.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Posts {
    full: Vec<Arc<[Post]>>,
    /// Fewer than [`CHUNK_MESSAGES`].
    open: Vec<Post>,
    /// One bit for each message of the chunks that have a deleted one.
    gone: BTreeMap<usize, [u64; CHUNK_WORDS]>,
    /// The entry that last edited a message, by `seq`.
    edits: BTreeMap<u64, u64>,
    /// The message that a message answers, by `seq`.
    replies: BTreeMap<u64, MessageId>,
}

impl Posts {
    pub(crate) const fn new() -> Self {
        Self {
            full: Vec::new(),
            open: Vec::new(),
            gone: BTreeMap::new(),
            edits: BTreeMap::new(),
            replies: BTreeMap::new(),
        }
    }

    /// The `seq` of the last message; 0 when there is none.
    pub(crate) fn last_seq(&self) -> u64 {
        let count = self.full.len() * CHUNK_MESSAGES + self.open.len();
        u64::try_from(count).unwrap_or(u64::MAX)
    }

    pub(crate) fn last(&self) -> Option<Post> {
        self.get(self.last_seq())
    }

    pub(crate) fn get(&self, seq: u64) -> Option<Post> {
        let (chunk, at) = place_of(seq)?;
        let chunk = match self.full.get(chunk) {
            Some(chunk) => chunk,
            None if chunk == self.full.len() => &*self.open,
            None => return None,
        };
        chunk.get(at).copied()
    }

    /// Add the next message. Gives its `seq`.
    pub(crate) fn push(&mut self, post: Post, reply_to: Option<MessageId>) -> u64 {
        if let Some(last) = self.last() {
            assert!({ last.index } < { post.index }, "ids rise");
            assert!({ last.time_us } < { post.time_us }, "times rise");
        }
        self.open.push(post);
        if self.open.len() == CHUNK_MESSAGES {
            self.full.push(Arc::from(&*self.open));
            self.open = Vec::new();
        }
        let seq = self.last_seq();
        self.replies.extend(reply_to.map(|answered| (seq, answered)));
        seq
    }

    /// Let the entry at `index` hold the text of a message.
    pub(crate) fn edit(&mut self, seq: u64, index: u64) {
        assert!(!self.is_gone(seq), "what is deleted stays so");
        self.edits.insert(seq, index);
    }

    /// The entry that edited a message last, if one did.
    pub(crate) fn edit_of(&self, seq: u64) -> Option<u64> {
        self.edits.get(&seq).copied()
    }

    /// The message that a message answers.
    pub(crate) fn reply_to(&self, seq: u64) -> Option<MessageId> {
        self.replies.get(&seq).copied()
    }

    /// Delete a message. Says whether that changed anything.
    pub(crate) fn delete(&mut self, seq: u64) -> bool {
        assert!(self.get(seq).is_some(), "only what was sent is deleted");
        if self.is_gone(seq) {
            return false;
        }
        if let Some((chunk, at)) = place_of(seq) {
            self.gone.entry(chunk).or_default()[at / 64] |= 1 << (at % 64);
        }
        self.edits.remove(&seq);
        self.replies.remove(&seq);
        true
    }

    /// Is a message deleted?
    pub(crate) fn is_gone(&self, seq: u64) -> bool {
        place_of(seq).is_some_and(|(chunk, at)| {
            self.gone.get(&chunk).is_some_and(|bits| bits[at / 64] & 1 << (at % 64) != 0)
        })
    }

    /// How many messages after `seq` are deleted?
    pub(crate) fn gone_after(&self, seq: u64) -> u64 {
        // The place after that of `seq`.
        let Some((first, at)) = place_of(seq + 1) else { return 0 };
        let mut count = 0;
        for (chunk, bits) in self.gone.range(first..) {
            for (word, bits) in bits.iter().enumerate() {
                let skipped =
                    if *chunk == first { at.saturating_sub(word * 64).min(64) } else { 0 };
                let kept = u64::MAX.checked_shl(u32::try_from(skipped).unwrap_or(64)).unwrap_or(0);
                count += u64::from((bits & kept).count_ones());
            }
        }
        count
    }

    /// Delete all that `author` sent: `count` messages from `first` on.
    pub(crate) fn delete_by(&mut self, author: u32, first: u64, count: u64) {
        let mut left = count;
        for seq in first..=self.last_seq() {
            if left == 0 {
                return;
            }
            if self.get(seq).is_some_and(|post| { post.author } == author) {
                left -= 1;
                self.delete(seq);
            }
        }
        assert!(left == 0, "an account knows what it sent");
    }

    /// The `seq` of the first message whose id is above `index`; one past the last if none is.
    pub(crate) fn first_after(&self, index: u64) -> u64 {
        let (mut low, mut high) = (1, self.last_seq() + 1);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.get(middle).is_some_and(|post| { post.index } <= index) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// The `seq` of a message of this conversation.
    pub(crate) fn seq_of(&self, id: MessageId) -> Option<u64> {
        let seq = self.first_after(id.0.checked_sub(1)?);
        self.get(seq).filter(|post| { post.index } == id.0).map(|_| seq)
    }

    /// How many messages from `first` to `last` did `author` write and not delete?
    pub(crate) fn count_by(&self, author: u32, first: u64, last: u64) -> u64 {
        let mut count = 0;
        for seq in first..=last {
            let is_own = self.get(seq).is_some_and(|post| { post.author } == author);
            count += u64::from(is_own && !self.is_gone(seq));
        }
        count
    }
}

/// The chunk of a message, and its place there.
fn place_of(seq: u64) -> Option<(usize, usize)> {
    let place = usize::try_from(seq.checked_sub(1)?).ok()?;
    Some((place / CHUNK_MESSAGES, place % CHUNK_MESSAGES))
}
