//! Real sockets on loopback, with certificates made for each test.

mod faults;
mod guests;
mod kit;
mod links;
mod refusals;
mod start;
mod strangers;
