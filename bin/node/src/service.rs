//! What any gateway may do with a node: submit, query, subscribe.
