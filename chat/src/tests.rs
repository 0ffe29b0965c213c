//! What the chat promises, by room: transcripts for the rules as people meet them, properties for
//! the laws, judged by a plain model, and one test per bound.

mod bounds;
mod encoding;
mod kit;
mod laws;
mod model;
mod parts;
mod requests;
mod sessions;
mod transcripts;
