//! Stand-ins for the world that the notifier talks to: for tests, the demo and the benchmark.
//!
//! One server on one loopback port plays every provider, told apart by path. Each checks what the real one checks and
//! answers as the real one does, errors included, so that a message which passes here passes there.
//!
//! | module | what |
//! | --- | --- |
//! | [`instance`] | [`Standin`]: start, ask, stop; what Rust tests use |
//! | [`server`] | HTTP/1.1, the way of one request |
//! | [`listen`] | sockets on loopback addresses |
//! | [`providers`] | one file each: checks and answers |
//! | [`record`] | what arrived, and what the providers accepted |
//! | [`rules`] | orders for a path: delay, hang, another reply, a rate limit |
//! | [`fault`] | raw sockets that misbehave, each on its own port |
//! | [`tls`] | the same providers behind TLS |
//! | [`sink`] | the fastest path, for the benchmark: counts, checks nothing |
//! | [`control`] | `/_standin/…`: all of this over HTTP, for tests in other languages |
//! | [`reply`] | what is answered, before it is HTTP |
//! | [`world`] | the state that all of them share |
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! let standin = standin::Standin::start().await?;
//! let webhook = format!("{}/services/T0/B0/secret", standin.url());
//! // … let the notifier send to `webhook` …
//! assert_eq!(standin.messages()[0].text, "hello");
//! # Ok(())
//! # }
//! ```

pub mod control;
pub mod fault;
pub mod instance;
pub mod listen;
mod lock;
pub mod providers;
pub mod record;
pub mod reply;
pub mod rules;
pub mod server;
pub mod sink;
pub mod tls;
pub mod world;

pub use fault::{Fault, FaultKind, FaultReport};
pub use instance::Standin;
pub use record::{Message, Record};
pub use reply::CannedReply;
pub use rules::{RateLimit, Rule};
