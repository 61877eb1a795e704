//! In-memory stand-in.
