//! The client API over real sockets, on a node whose log has one copy.

mod bounds;
mod changes;
mod conformance;
mod events;
mod kit;
mod leaving;
mod limits;
mod membership;
mod openapi;
mod page;
mod paging;
mod retold;
mod routes;
mod scrape;
mod service;
mod slow;

/// A fresh key of a write.
fn fresh_key() -> String {
    let now = jiff::Timestamp::now().as_millisecond();
    let random = u128::from_le_bytes(super::auth::random().unwrap());
    chat::RequestId::new(u64::try_from(now).unwrap(), random).to_string()
}
