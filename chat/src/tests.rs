//! What the chat promises, by room: transcripts for the rules as people meet them, properties for
//! the laws, and one test per bound.

mod bounds;
mod encoding;
mod kit;
mod laws;
mod parts;
mod requests;
mod transcripts;
