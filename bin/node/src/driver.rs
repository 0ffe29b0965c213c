//! The loop of a running node: inputs in, effects out, fsync before send.
