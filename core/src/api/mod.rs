//! The contract with callers: bytes to a request, a report to JSON.

mod encoding;
mod members;
mod problems;
mod reader;
pub mod request;
pub mod response;
pub mod row;
pub mod view;
