//! The messages of a conversation, without their bodies: 20 bytes each.
//!
//! `seq` is a message's place, from 1, so it has no gaps. Ids and times rise strictly with it.
//! Full chunks never change, and are shared by all copies of the state.

use alloc::{sync::Arc, vec::Vec};

use crate::id::MessageId;

/// Messages in a full chunk.
const CHUNK_MESSAGES: usize = 512;

/// One message. Packed to 4 bytes, because there may be tens of millions.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(C, packed(4))]
pub(crate) struct Post {
    /// Index of the entry that holds the text; the message's id.
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
}

impl Posts {
    pub(crate) const fn new() -> Self {
        Self { full: Vec::new(), open: Vec::new() }
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
        let place = usize::try_from(seq.checked_sub(1)?).ok()?;
        let chunk = match self.full.get(place / CHUNK_MESSAGES) {
            Some(chunk) => chunk,
            None if place / CHUNK_MESSAGES == self.full.len() => &*self.open,
            None => return None,
        };
        chunk.get(place % CHUNK_MESSAGES).copied()
    }

    /// Add the next message. Gives its `seq`.
    pub(crate) fn push(&mut self, post: Post) -> u64 {
        if let Some(last) = self.last() {
            assert!({ last.index } < { post.index }, "ids rise");
            assert!({ last.time_us } < { post.time_us }, "times rise");
        }
        self.open.push(post);
        if self.open.len() == CHUNK_MESSAGES {
            self.full.push(Arc::from(&*self.open));
            self.open = Vec::new();
        }
        self.last_seq()
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

    /// How many messages from `first` to `last` did `author` write?
    pub(crate) fn count_by(&self, author: u32, first: u64, last: u64) -> u64 {
        let mut count = 0;
        for seq in first..=last {
            count += u64::from(self.get(seq).is_some_and(|post| { post.author } == author));
        }
        count
    }
}
