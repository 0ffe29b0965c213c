//! Questions to the state. They change nothing, and show a reader only what it may see: what it may
//! not see is answered exactly like what is not there.

pub(crate) mod access;
pub(crate) mod census;
pub(crate) mod directory;
pub(crate) mod history;
pub(crate) mod inbox;

pub use access::SessionView;
pub use census::Census;
pub use directory::{AccountPage, AccountView, ChannelPage, ChannelView};
pub use history::{Content, DELETED_USER, History, MessageView, Posted, Window};
pub use inbox::{InboxItem, InboxPage};
