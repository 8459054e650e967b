//! The interface to callers: parses requests from bytes and writes reports as JSON.

pub mod alert_list;
pub mod body;
mod encoding;
mod members;
mod problems;
mod reader;
pub mod request;
pub mod response;
pub mod row;
mod stored_group;
pub mod view;
