//! The options that select a client and thereby a message's connections.

use std::sync::Arc;
use std::time::Duration;

use crate::secret::Secret;

/// Whether private addresses are allowed. Link-local and cloud metadata addresses are always forbidden.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PrivateAddresses {
    #[default]
    Allow,
    Deny,
}

/// The addresses and hosts that a destination may have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct AddressPolicy {
    pub private_addresses: PrivateAddresses,
    /// Normalised host names, or `*.suffix`. An empty list allows any host.
    pub allowed_hosts: Vec<String>,
}

impl AddressPolicy {
    /// Whether the list allows `host` (normalised: lower case, punycode, no trailing dot).
    pub fn allows_host(&self, host: &str) -> bool {
        self.allowed_hosts.is_empty()
            || self.allowed_hosts.iter().any(|allowed| {
                match allowed.strip_prefix("*.") {
                    // `*.suffix` does not match the suffix itself.
                    Some(suffix) => host
                        .strip_suffix(suffix)
                        .is_some_and(|head| head.len() > 1 && head.ends_with('.')),
                    None => host == allowed,
                }
            })
    }
}

/// The proxies of the environment variables (`HTTP_PROXY` and similar), unparsed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ProxySettings {
    pub http: Option<Secret>,
    pub https: Option<Secret>,
    pub no_proxy: String,
}

/// One receiver's certificates, in addition to the system's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TlsFiles {
    /// Certificates of additional trusted authorities, in PEM.
    pub authorities: Option<Vec<u8>>,
    /// A client certificate and its key, in PEM.
    pub identity: Option<Secret>,
}

/// The key of a client. Requests with equal keys share a client and its connections. No request uses a connection that
/// another policy opened.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClientKey {
    pub private_addresses: PrivateAddresses,
    /// Whether the client reuses connections. Off for a message that must not be repeated: if a pooled connection was
    /// already dead, the message's result would be unknown.
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
