//! Every bound of the chat, with its unit, and the one place where names and texts are judged.
//!
//! The fold judges by the same functions as the node does before it proposes, so a bound cannot be
//! passed by a faulty node. Changing a bound changes outcomes: it needs a new feature level.

use alloc::string::String;

use crate::rejection::Rejection;

/// Microseconds in a second.
pub const SECOND_US: u64 = 1_000_000;
/// Microseconds in a day.
pub const DAY_US: u64 = 86_400 * SECOND_US;

/// A name of an account or a channel, in bytes, which are characters.
pub const NAME_BYTES_MAX: usize = 32;
/// A password, in characters.
pub const PASSWORD_CHARS_MIN: usize = 8;
/// A password, in characters.
pub const PASSWORD_CHARS_MAX: usize = 128;
/// An argon2 PHC string, in bytes.
pub const PASSWORD_HASH_BYTES_MAX: usize = 256;
/// A message's text, in bytes of UTF-8.
pub const TEXT_BYTES_MAX: usize = 16 << 10;
/// A channel's topic, in bytes of UTF-8.
pub const TOPIC_BYTES_MAX: usize = 1 << 10;
/// A pattern for names, in bytes.
pub const GLOB_BYTES_MAX: usize = 64;
/// An encoded command, in bytes.
pub const COMMAND_BYTES_MAX: usize = 20 << 10;

/// Accounts, deleted ones included.
pub const ACCOUNTS_MAX: usize = 1_000_000;
/// Channels.
pub const CHANNELS_MAX: usize = 65_536;
/// Members of a channel.
pub const MEMBERS_MAX: usize = 10_000;
/// Conversations that one account is in.
pub const CONVERSATIONS_PER_ACCOUNT_MAX: usize = 16_384;
/// Sessions of an account that have not ended.
pub const SESSIONS_MAX: usize = 256;
/// Tokens that open one session: the newest ones of a log-in repeated under one request id.
pub const TOKENS_PER_SESSION_MAX: usize = 8;
/// Access tokens of one session: the newest ones.
pub const ACCESS_TOKENS_MAX: usize = 8;
/// Messages of others that an account may delete for itself.
pub const HIDDEN_MAX: usize = 16_384;
/// Remembered requests of an account.
pub const REQUESTS_MAX: usize = 65_536;
/// Requests of one account that one entry may drop from memory because they are too old.
pub const SWEPT_REQUESTS_MAX: usize = 16;
/// One in so many entries does: who was last seen long ago is read from memory for it.
pub const SWEEP_EVERY: u64 = 8;
/// Items of a page.
pub const PAGE_MAX: usize = 200;
/// Items of a page when nothing is said.
pub const PAGE_DEFAULT: usize = 50;
/// Names looked at for one page of a listing by pattern.
pub const NAMES_SCANNED_MAX: usize = 10_000;

/// A session ends this long after the log-in that opened it, used or not.
pub const SESSION_LIFETIME_US: u64 = 30 * DAY_US;
/// An access token ends this long after it was asked for, or with its session if that is earlier.
pub const ACCESS_TOKEN_LIFETIME_US: u64 = 600 * SECOND_US;
/// An outcome is remembered until its request id is this old.
pub const REQUEST_REMEMBERED_US: u64 = DAY_US;
/// A request id may be this far ahead of log time.
pub const REQUEST_AHEAD_US_MAX: u64 = 10 * SECOND_US;
/// The last moment of the year 9999: no stamp counts for more, so that every time can be written.
pub const STAMP_US_MAX: u64 = 253_402_300_799_999_999;

const _: () = assert!(
    TEXT_BYTES_MAX + 1024 <= COMMAND_BYTES_MAX,
    "the longest message fits a command, with its names and ids"
);
const _: () = assert!(
    NAME_BYTES_MAX + PASSWORD_HASH_BYTES_MAX + 1024 <= COMMAND_BYTES_MAX,
    "the longest registration fits a command"
);
const _: () = assert!(ACCOUNTS_MAX <= u32::MAX as usize, "a message names its author in 32 bits");
const _: () =
    assert!(SWEPT_REQUESTS_MAX as u64 >= 2 * SWEEP_EVERY, "more is forgotten than entries bring");
const _: () = assert!(PAGE_DEFAULT <= PAGE_MAX, "the default page is allowed");
const _: () =
    assert!(REQUEST_AHEAD_US_MAX < REQUEST_REMEMBERED_US, "ids are remembered for a while");
const _: () = assert!(
    STAMP_US_MAX + SESSION_LIFETIME_US < u64::MAX / 2,
    "no sum of times overflows, for longer than any log lives"
);
const _: () = assert!(NAME_BYTES_MAX <= GLOB_BYTES_MAX, "a name is a pattern");

/// Fold the case of a name as a person writes it, and judge it.
///
/// # Errors
/// [`Rejection::NameInvalid`].
pub fn name(text: &str) -> Result<String, Rejection> {
    if text.len() > NAME_BYTES_MAX {
        return Err(Rejection::NameInvalid);
    }
    let folded = text.to_ascii_lowercase();
    if is_name(&folded) { Ok(folded) } else { Err(Rejection::NameInvalid) }
}

/// Is this a name, with its case folded?
#[must_use]
pub fn is_name(text: &str) -> bool {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let allowed = |byte: u8| alphanumeric(byte) || matches!(byte, b'.' | b'_' | b'-');
    text.len() <= NAME_BYTES_MAX
        && text.bytes().next().is_some_and(alphanumeric)
        && text.bytes().all(allowed)
}

/// Judge a password; it is hashed outside.
///
/// # Errors
/// [`Rejection::PasswordInvalid`].
pub fn password(text: &str) -> Result<(), Rejection> {
    // Count no further than it matters.
    let chars = text.chars().take(PASSWORD_CHARS_MAX + 1).count();
    if (PASSWORD_CHARS_MIN..=PASSWORD_CHARS_MAX).contains(&chars) {
        Ok(())
    } else {
        Err(Rejection::PasswordInvalid)
    }
}

/// Judge a message's text.
///
/// # Errors
/// [`Rejection::TextEmpty`], [`Rejection::TextTooLong`] or [`Rejection::TextControl`].
pub fn text(text: &str) -> Result<(), Rejection> {
    if text.is_empty() {
        return Err(Rejection::TextEmpty);
    }
    if text.len() > TEXT_BYTES_MAX {
        return Err(Rejection::TextTooLong);
    }
    if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
        return Err(Rejection::TextControl);
    }
    Ok(())
}

/// Judge a channel's topic: one line, or empty.
///
/// # Errors
/// [`Rejection::TopicInvalid`].
pub fn topic(text: &str) -> Result<(), Rejection> {
    if text.len() <= TOPIC_BYTES_MAX && !text.chars().any(char::is_control) {
        Ok(())
    } else {
        Err(Rejection::TopicInvalid)
    }
}

/// Judge the limit of a page.
///
/// # Errors
/// [`Rejection::LimitInvalid`].
pub fn page(limit: usize) -> Result<usize, Rejection> {
    if (1..=PAGE_MAX).contains(&limit) { Ok(limit) } else { Err(Rejection::LimitInvalid) }
}

/// Is this something that a password verifier could have made?
pub(crate) fn is_password_hash(text: &str) -> bool {
    text.len() <= PASSWORD_HASH_BYTES_MAX
        && text.starts_with('$')
        && text.bytes().all(|byte| byte.is_ascii_graphic())
}
