//! Real sockets on loopback, with certificates made for each test; and the same transport over a
//! simulated network on virtual time.

mod guests;
mod kit;
mod links;
mod network;
mod parameters;
mod refusals;
mod start;
mod strangers;
mod weather;
