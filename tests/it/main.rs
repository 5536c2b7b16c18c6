//! The service as its users see it, each promise in a module of its own.

mod managed_server;
