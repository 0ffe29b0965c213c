//! The client API: HTTP and WebSocket.
