//! The notifier and the stand-ins in one process, with an injected resolver. The client, the sockets and the clock are
//! real.

pub mod conformance;
pub mod fixtures;
pub mod jetstream;
pub mod nats;
use std::collections::BTreeMap;
use std::future;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use notifier_core::plugin::{Body, Call, Notifier};
use notifier_core::store::Backends;
use notifier_core::transport::{Dns, HostLookup, HttpTransport};
use serde_json::{Value, json};
use standin::Standin;

/// `dead…` never answers, `none` does not exist, every other name is this machine.
struct Names;

impl HostLookup for Names {
    fn lookup(&self, host: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            match host.as_str() {
                dead if dead.starts_with("dead") => future::pending().await,
                "none" => Err(io::ErrorKind::NotFound.into()),
                _ => Ok(vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]),
            }
        })
    }
}

/// A notifier that resolves every name to this machine, and the stand-ins on it.
pub struct World {
    pub standin: Standin,
    notifier: Notifier,
}

impl Default for World {
    fn default() -> Self {
        Self {
            standin: Standin::start_on((Ipv4Addr::LOCALHOST, 0).into(), 1).unwrap(),
            notifier: Notifier::with_transport(Backends::default(), || {
                Arc::new(HttpTransport::new(Dns::new(Names)))
            })
            .unwrap(),
        }
    }
}

impl World {
    pub fn port(&self) -> u16 {
        self.standin.addr().port()
    }

    /// The answer to a text for these senders, as the caller reads it.
    pub fn notify(&self, senders: Value, arguments: &[(&str, &str)]) -> Value {
        self.send(
            &json!({"notification_text": "hi", "senders_config": senders}),
            arguments,
        )
    }

    /// The answer to any request.
    pub fn send(&self, request: &Value, arguments: &[(&str, &str)]) -> Value {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let response = self.notifier.process_request(&Call {
            arguments: arguments.iter().map(owned).collect::<BTreeMap<_, _>>(),
            body: request.to_string().into_bytes(),
            ..Call::default()
        });
        match response.unwrap().body {
            Body::RequestResponse(answer) => serde_json::to_value(answer).unwrap(),
            Body::Error(error) => panic!("{}", serde_json::to_value(error).unwrap()),
            _ => panic!("a view"),
        }
    }
}
