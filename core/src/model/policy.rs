//! The options that select a client, and so the connections of a message.

use std::sync::Arc;
use std::time::Duration;

use crate::secret::Secret;

/// Whether private addresses may be reached. Link-local and cloud metadata addresses never may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PrivateAddresses {
    #[default]
    Allow,
    Deny,
}

/// Which addresses and hosts a destination may have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct AddressPolicy {
    pub private_addresses: PrivateAddresses,
    /// Empty: any host. Else normalised host names, or `*.suffix`.
    pub allowed_hosts: Vec<String>,
}

impl AddressPolicy {
    /// Whether `host` (normalised: lower case, punycode, no trailing dot) is one of the allowed hosts.
    pub fn allows_host(&self, host: &str) -> bool {
        self.allowed_hosts.is_empty()
            || self.allowed_hosts.iter().any(|allowed| {
                match allowed.strip_prefix("*.") {
                    // The suffix itself is not below the suffix.
                    Some(suffix) => host
                        .strip_suffix(suffix)
                        .is_some_and(|head| head.len() > 1 && head.ends_with('.')),
                    None => host == allowed,
                }
            })
    }
}

/// The proxies of the environment, read with the other variables (`HTTP_PROXY` and its kin), as they are written there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ProxySettings {
    pub http: Option<Secret>,
    pub https: Option<Secret>,
    pub no_proxy: String,
}

/// Certificates beside the system's, for one receiver.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TlsFiles {
    /// Of authorities to trust besides, in PEM.
    pub authorities: Option<Vec<u8>>,
    /// A certificate and its key to show to the server, in PEM.
    pub identity: Option<Secret>,
}

/// Clients are shared by all who have the same key, and connections by all who share a client: no connection that one
/// policy opened is ever used under another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClientKey {
    pub private_addresses: PrivateAddresses,
    /// Whether connections are kept for the next message. Off where a message must not be repeated: a pooled connection
    /// that died unnoticed would leave it unknown whether the message was taken.
    pub reuse: bool,
    pub connect_timeout: Duration,
    pub proxy: Arc<ProxySettings>,
    pub tls: Option<Arc<TlsFiles>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allowed_hosts_match_exactly_or_below_a_suffix() {
        let policy = AddressPolicy {
            allowed_hosts: vec!["hooks.slack.com".into(), "*.example.org".into()],
            ..AddressPolicy::default()
        };
        for (host, allowed) in [
            ("hooks.slack.com", true),
            ("hooks.slack.com.evil.example", false),
            ("xhooks.slack.com", false),
            ("a.example.org", true),
            ("a.b.example.org", true),
            ("example.org", false),
            (".example.org", false),
            ("aexample.org", false),
        ] {
            assert_eq!(policy.allows_host(host), allowed, "{host}");
        }
    }
}
