//! Stand-ins for the providers that the notifier sends to: for tests, the demo and the benchmark.
//!
//! One server on one loopback port stands in for every provider, by path. Each stand-in makes the checks of the real provider
//! and sends its replies, including errors. A message that it accepts is valid for the provider.
//!
//! | module | what |
//! | --- | --- |
//! | [`instance`] | [`Standin`]: start, query, stop; for Rust tests |
//! | [`server`] | HTTP/1.1, the processing of one request |
//! | [`listen`] | sockets on loopback addresses |
//! | [`providers`] | checks and replies, one file per provider |
//! | [`record`] | the requests, and the accepted messages |
//! | [`rules`] | overrides for a path: a delay, a hang, another reply, a rate limit |
//! | [`fault`] | raw sockets that misbehave, each on a separate port |
//! | [`tls`] | the same providers behind TLS |
//! | [`sink`] | the fastest endpoint, for the benchmark: counts requests, checks nothing |
//! | [`control`] | `/_standin/…`: the control API over HTTP, for tests in other languages |
//! | [`reply`] | replies, before they are HTTP |
//! | [`world`] | the shared state |
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
