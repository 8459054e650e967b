//! The address guard: which addresses may be reached at all.
//!
//! Every address is checked that a connection could go to: literals in the URL (the URL's parser has made decimal, octal
//! and hexadecimal spellings one), and every answer of the resolver, which are the very addresses then connected to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

use crate::model::policy::PrivateAddresses;

/// The rule that forbids an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    LinkLocal,
    Metadata,
    Private(&'static str),
}

impl Denied {
    pub const fn sentence(self) -> &'static str {
        match self {
            Denied::LinkLocal => "a link-local address, which is always denied",
            Denied::Metadata => "a cloud metadata service, which is always denied",
            Denied::Private(kind) => kind,
        }
    }
}

impl std::fmt::Display for Denied {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.sentence())
    }
}

impl std::error::Error for Denied {}

/// Checks a URL's host as far as it stands there: address literals, and the names of metadata services.
pub fn check_host(url: &Url, private: PrivateAddresses) -> Result<(), Denied> {
    match url.host() {
        Some(Host::Ipv4(address)) => check(address.into(), private),
        Some(Host::Ipv6(address)) => check(address.into(), private),
        Some(Host::Domain(name)) if is_metadata_name(name) => Err(Denied::Metadata),
        _ => Ok(()),
    }
}

/// Checks one address, and every IPv4 address that is written inside an IPv6 one.
pub fn check(address: IpAddr, private: PrivateAddresses) -> Result<(), Denied> {
    match address {
        IpAddr::V4(address) => check_v4(address, private),
        IpAddr::V6(address) => {
            for inner in embedded(address) {
                check_v4(inner, private)?;
            }
            check_v6(address, private)
        }
    }
}

/// Names under which clouds serve metadata to any process of the machine.
fn is_metadata_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    [
        "metadata",
        "metadata.google.internal",
        "metadata.goog",
        "instance-data",
        "instance-data.ec2.internal",
    ]
    .iter()
    .any(|metadata| name.eq_ignore_ascii_case(metadata))
}

fn check_v4(address: Ipv4Addr, private: PrivateAddresses) -> Result<(), Denied> {
    let octets = address.octets();
    match octets {
        // AWS, Google, Azure and most others.
        [169, 254, 169, 254] | [169, 254, 170, 2] => return Err(Denied::Metadata),
        // Alibaba Cloud; Azure's platform address; Oracle's classic.
        [100, 100, 100, 200] | [168, 63, 129, 16] | [192, 0, 0, 192] => {
            return Err(Denied::Metadata);
        }
        [169, 254, ..] => return Err(Denied::LinkLocal),
        _ => {}
    }
    if private == PrivateAddresses::Allow {
        return Ok(());
    }
    // The registry of special purpose addresses (RFC 6890 and its successors).
    let kind = match octets {
        [0, ..] => "an address of this network (0.0.0.0/8)",
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => "a private address (RFC 1918)",
        [100, 64..=127, ..] => "a carrier's shared address (100.64.0.0/10)",
        [127, ..] => "a loopback address",
        [192, 0, 0, _] => "an address for protocol assignments (192.0.0.0/24)",
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => "an address for documentation",
        [198, 18..=19, ..] => "an address for benchmarks (198.18.0.0/15)",
        [224..=239, ..] => "a multicast address",
        [255, 255, 255, 255] => "the broadcast address",
        [240..=255, ..] => "a reserved address (240.0.0.0/4)",
        _ => return Ok(()),
    };
    Err(Denied::Private(kind))
}

fn check_v6(address: Ipv6Addr, private: PrivateAddresses) -> Result<(), Denied> {
    let segments = address.segments();
    match segments {
        // fd00:ec2::254 (AWS), fd20:ce::254 (Google).
        [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254] | [0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254] => {
            return Err(Denied::Metadata);
        }
        [0xfe80..=0xfebf, ..] => return Err(Denied::LinkLocal),
        _ => {}
    }
    if private == PrivateAddresses::Allow {
        return Ok(());
    }
    let kind = match segments {
        [0, 0, 0, 0, 0, 0, 0, 0] => "the unspecified address",
        [0, 0, 0, 0, 0, 0, 0, 1] => "a loopback address",
        [0xfc00..=0xfdff, ..] => "a unique local address (fc00::/7)",
        [0xfec0..=0xfeff, ..] => "a site-local address (fec0::/10)",
        [0xff00..=0xffff, ..] => "a multicast address",
        [0x64, 0xff9b, 1, ..] => "an address for local translation (64:ff9b:1::/48)",
        [0x2001, 0xdb8, ..] => "an address for documentation",
        _ => return Ok(()),
    };
    Err(Denied::Private(kind))
}

/// The IPv4 addresses that an IPv6 address leads to: mapped, compatible, translated, 6to4, Teredo.
fn embedded(address: Ipv6Addr) -> Vec<Ipv4Addr> {
    let from = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match address.segments() {
        // Neither `::` nor `::1` is an IPv4 address in another form.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => Vec::new(),
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] => vec![from(high, low)],
        // The translated form of RFC 2765.
        [0, 0, 0, 0, 0xffff, 0, high, low] => vec![from(high, low)],
        [0x64, 0xff9b, 0 | 1, _, _, _, high, low] => vec![from(high, low)],
        [0x2002, high, low, ..] => vec![from(high, low)],
        [0x2001, 0, high, low, _, _, x, y] => vec![from(high, low), from(!x, !y)],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(url: &str, private: PrivateAddresses) -> Result<(), Denied> {
        check_host(&Url::parse(url).unwrap(), private)
    }

    #[test]
    fn row_24_metadata_and_link_local_addresses_are_denied_always_in_every_spelling() {
        for host in [
            "169.254.169.254",
            "2852039166",
            "0xa9fea9fe",
            "0xa9.0xfe.0xa9.0xfe",
            "0251.0376.0251.0376",
            "169.254.43518",
            "169.254.169.254.",
            "[::ffff:169.254.169.254]",
            "[::ffff:a9fe:a9fe]",
            "[::169.254.169.254]",
            "[64:ff9b::169.254.169.254]",
            "[2002:a9fe:a9fe::1]",
            "[2001:0:a9fe:a9fe::]",
            "[2001:0:1:1:0:0:5601:5601]",
            "[fd00:ec2::254]",
            "[fd20:ce::254]",
            "[fe80::1]",
            "169.254.1.1",
            "100.100.100.200",
            "168.63.129.16",
            "metadata.google.internal",
            "METADATA.google.internal.",
            "metadata",
        ] {
            let verdict = verdict(&format!("http://{host}/latest"), PrivateAddresses::Allow);
            assert!(
                matches!(verdict, Err(Denied::Metadata | Denied::LinkLocal)),
                "{host}: {verdict:?}"
            );
        }
    }

    #[test]
    fn row_25_private_addresses_are_denied_when_the_operator_says_so_and_only_then() {
        for host in [
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f000001",
            "017700000001",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "100.64.0.1",
            "0.0.0.0",
            "0",
            "255.255.255.255",
            "224.0.0.1",
            "198.18.0.1",
            "240.0.0.1",
            "[::]",
            "[::1]",
            "[fc00::1]",
            "[fd12::1]",
            "[ff02::1]",
            "[fec0::1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:10.0.0.1]",
            "[::10.0.0.1]",
            "[64:ff9b::10.0.0.1]",
            "[64:ff9b:1::1]",
            "[2002:a00:1::]",
            "[2001:0:a00:1::]",
        ] {
            let url = format!("http://{host}/");
            assert!(
                matches!(
                    verdict(&url, PrivateAddresses::Deny),
                    Err(Denied::Private(_))
                ),
                "{host}"
            );
            assert_eq!(verdict(&url, PrivateAddresses::Allow), Ok(()), "{host}");
        }
        for host in [
            "93.184.216.34",
            "172.32.0.1",
            "100.128.0.1",
            "[2606:2800:220:1::1]",
            "hooks.slack.com",
            "localhost.example",
        ] {
            assert_eq!(
                verdict(&format!("http://{host}/"), PrivateAddresses::Deny),
                Ok(()),
                "{host}"
            );
        }
    }
}
