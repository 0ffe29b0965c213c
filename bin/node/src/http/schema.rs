//! What the small things of requests and answers look like: names, texts, ids, times. Every bound
//! is the one that is enforced.

use chat::{
    RequestId,
    limits::{
        GLOB_BYTES_MAX, NAME_BYTES_MAX, PAGE_DEFAULT, PAGE_MAX, PASSWORD_CHARS_MAX,
        PASSWORD_CHARS_MIN, TEXT_BYTES_MAX, TOPIC_BYTES_MAX,
    },
};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        KnownFormat, ObjectBuilder, RefOr, SchemaFormat, Type,
        schema::{Schema, SchemaType},
    },
};

const UUID_7: &str =
    "^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-7[0-9A-Fa-f]{3}-[89ABab][0-9A-Fa-f]{3}-[0-9A-Fa-f]{12}$";

macro_rules! schemas {
    ($($(#[doc = $doc:literal])+ $name:ident => $schema:expr,)+) => {$(
        $(#[doc = $doc])+
        #[derive(Debug)]
        pub(super) enum $name {}

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let description = concat!($($doc),+).trim();
                $schema.description(Some(description)).into()
            }
        }

        impl ToSchema for $name {}
    )+};
}

schemas! {
    /// A name of an account or a channel. Its case is folded; answers have it in small letters.
    Name => text(1, NAME_BYTES_MAX).pattern(Some("^[A-Za-z0-9][A-Za-z0-9._-]*$")),
    /// A password.
    Password => text(PASSWORD_CHARS_MIN, PASSWORD_CHARS_MAX)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Password))),
    /// The secret that stands for a session, or an invite.
    Token => text(0, usize::MAX).examples(["jYH5L3rYb1b9Dk0n1fD2g0qg3e2z4v6x8y0A2C4E6G8"]),
    /// A message's text. The greatest length counts bytes of UTF-8; of the control characters only
    /// newline and tab are taken.
    Text => text(1, TEXT_BYTES_MAX)
        .pattern(Some(r"^[^\u0000-\u0008\u000b-\u001f\u007f-\u009f]+$")),
    /// What a channel is about: one line, or empty. The greatest length counts bytes of UTF-8.
    Topic => text(0, TOPIC_BYTES_MAX).pattern(Some(r"^[^\u0000-\u001f\u007f-\u009f]*$")),
    /// Where a message goes: `@user` or `#channel`.
    Target => text(2, NAME_BYTES_MAX + 1).pattern(Some("^[@#][A-Za-z0-9][A-Za-z0-9._-]*$")),
    /// A conversation as the reader sees it: `#channel`, or `@other`.
    Label => text(2, usize::MAX).examples(["#general", "@alice"]),
    /// A pattern for names, with `*`, `?` and `[a-z]`.
    Glob => text(1, GLOB_BYTES_MAX).examples(["a*"]),
    /// An id, or a place in the log: a decimal number as text.
    DecimalId => text(1, usize::MAX).pattern(Some("^[0-9]+$")).examples(["42"]),
    /// A time in UTC with microseconds, as RFC 3339 has it.
    Time => text(1, usize::MAX)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
        .examples(["2026-01-31T12:00:00.123456Z"]),
    /// The key of a write: a UUID of version 7, timed by the node's clock (`Holdfast-Time`).
    Uuid7 => text(36, 36)
        .format(Some(SchemaFormat::Custom("uuid".to_owned())))
        .pattern(Some(UUID_7))
        .examples([RequestId::new(1_767_225_600_000, 42).to_string()]),
    /// What an account may do.
    Role => ObjectBuilder::new()
        .schema_type(SchemaType::Type(Type::String))
        .enum_values(Some(["owner", "admin", "member"])),
    /// The place of a message in its conversation: from 1, without gaps; 0 is before the first.
    Seq => number(0, u64::MAX),
    /// Yes, always.
    True => ObjectBuilder::new()
        .schema_type(SchemaType::Type(Type::Boolean))
        .enum_values(Some([true])),
    /// Nothing, always.
    Null => ObjectBuilder::new().schema_type(SchemaType::Type(Type::Null)),
    /// Items of a page.
    Limit => number(1, PAGE_MAX as u64).default(Some(PAGE_DEFAULT.into())),
}

/// A text of so many characters.
fn text(min: usize, max: usize) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(SchemaType::Type(Type::String))
        .min_length((min > 0).then_some(min))
        .max_length((max < usize::MAX).then_some(max))
}

/// A whole number within bounds.
fn number(min: u64, max: u64) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(SchemaType::Type(Type::Integer))
        .minimum(Some(min))
        .maximum(Some(max))
}
