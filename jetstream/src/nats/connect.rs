//! Connects to the servers and records their error events.

use std::error::Error as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::{Client, ConnectErrorKind, ConnectOptions, Event, ServerError};
use tokio::time::Instant;

use super::credentials;
use notifier_core::panics::lock;
use notifier_core::store::OutboxServers;
use notifier_core::store::StoreErrorKind;

pub const ASK_WITHIN: Duration = Duration::from_millis(1500);

const CONNECT_WITHIN: Duration = Duration::from_secs(1);
/// A server is unreachable after three unanswered pings.
const PING_EVERY: Duration = Duration::from_secs(2);

/// Connects, and records refusals from then on.
pub async fn connect(
    nats: &OutboxServers,
    events: &Arc<ServerEvents>,
) -> Result<Client, StoreErrorKind> {
    let events = Arc::clone(events);
    let mut options = ConnectOptions::new()
        .name("influxdb3-notifier")
        .connection_timeout(CONNECT_WITHIN)
        .request_timeout(Some(ASK_WITHIN))
        .ping_interval(PING_EVERY)
        .reconnect_delay_callback(|attempts| {
            let attempts = u32::try_from(attempts).unwrap_or(u32::MAX).min(5);
            Duration::from_millis(25 << attempts)
        })
        .event_callback(move |event| {
            events.event(&event);
            std::future::ready(())
        });
    if let Some(tls) = &nats.tls {
        options = options.tls_client_config(tls.clone());
    }
    if let Some(credentials) = &nats.credentials {
        options = credentials::apply(credentials, options)
            .ok_or(StoreErrorKind::UnreadableCredentials)?;
    }
    let addresses = nats.urls.iter();
    let addresses = addresses.map(|server| server.parse::<async_nats::ServerAddr>());
    let addresses: Vec<_> = addresses
        .collect::<Result<_, _>>()
        .map_err(|_| StoreErrorKind::Unreachable)?;
    let connected = options.connect(addresses).await;
    connected.map_err(|error| match error.kind() {
        ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
            StoreErrorKind::Credentials
        }
        ConnectErrorKind::Tls => StoreErrorKind::Tls,
        // async-nats passes an error of the TLS library on like any other connection failure.
        ConnectErrorKind::Io if is_tls(&error) => StoreErrorKind::Tls,
        _ => StoreErrorKind::Unreachable,
    })
}

/// The last refusal. The servers send a refusal as an event, never as a reply.
#[derive(Default)]
pub struct ServerEvents {
    refused: Mutex<Option<(Instant, StoreErrorKind)>>,
}

impl ServerEvents {
    fn event(&self, event: &Event) {
        let kind = match event {
            Event::ServerError(ServerError::AuthorizationViolation) => StoreErrorKind::Credentials,
            Event::ServerError(ServerError::Other(text))
                if text.to_ascii_lowercase().contains("permissions violation") =>
            {
                StoreErrorKind::NoPermission
            }
            Event::ClientError(error)
                if error
                    .to_string()
                    .to_ascii_lowercase()
                    .contains("authorization") =>
            {
                StoreErrorKind::Credentials
            }
            _ => return,
        };
        *lock(&self.refused) = Some((Instant::now(), kind));
    }

    pub fn since(&self, since: Instant) -> Option<StoreErrorKind> {
        let refused = *lock(&self.refused);
        refused.filter(|(at, _)| *at >= since).map(|(_, kind)| kind)
    }
}

fn is_tls(error: &async_nats::ConnectError) -> bool {
    let mut source: Option<&(dyn std::error::Error + 'static)> = error.source();
    while let Some(error) = source {
        if error.is::<rustls::Error>() {
            return true;
        }
        source = match error.downcast_ref::<std::io::Error>() {
            Some(io) => io.get_ref().map(|inner| inner as _),
            None => error.source(),
        };
    }
    false
}
