//! Tests of the stand-ins through their sockets, in one program.

mod client;
mod faults;
mod program;
mod providers;
mod rules;
mod tls;
