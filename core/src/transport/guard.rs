//! The address guard: decides which addresses may be reached.
//!
//! It checks every address that a connection could use: literals in the URL, and every answer of the resolver. The URL
//! parser normalises decimal, octal and hexadecimal forms. The client connects only to the checked addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::HeaderMap;
use http::header::HOST;
use url::{Host, Url};

use crate::model::policy::PrivateAddresses;

/// The rule that forbids an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    LinkLocal,
    Metadata,
    /// By `private_addresses=deny`; with the kind of address.
    Private(&'static str),
    /// By the rule for unencrypted connections.
    Unencrypted,
}

impl std::fmt::Display for Denied {
    /// The sentence for users: the kind of address, and the rule that denies it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Denied::LinkLocal => {
                f.write_str("the host is at a link-local address, which is always denied")
            }
            Denied::Metadata => {
                f.write_str("the host is a cloud metadata service, which is always denied")
            }
            Denied::Unencrypted => f.write_str(
                "the host is at a public address, to which nothing is sent without encryption",
            ),
            Denied::Private(kind) => write!(
                f,
                "the host is at {kind}, which private_addresses=deny forbids"
            ),
        }
    }
}

impl std::error::Error for Denied {}

/// Checks the host in a URL: address literals, and the names of metadata services.
pub fn check_host(url: &Url, private: PrivateAddresses) -> Result<(), Denied> {
    match url.host() {
        Some(Host::Ipv4(address)) => check(address.into(), private),
        Some(Host::Ipv6(address)) => check(address.into(), private),
        Some(Host::Domain(name)) => check_name(name),
        None => Ok(()),
    }
}

/// Checks the host that a request names in its `Host` header: a proxy or a gateway may send the request there.
pub fn check_host_header(headers: &HeaderMap, private: PrivateAddresses) -> Result<(), Denied> {
    let host = headers.get(HOST).and_then(|value| value.to_str().ok());
    let url = host.and_then(|host| Url::parse(&format!("http://{host}/")).ok());
    url.map_or(Ok(()), |url| check_host(&url, private))
}

/// The names of metadata services are denied before their lookup.
pub fn check_name(name: &str) -> Result<(), Denied> {
    match is_metadata_name(name) {
        true => Err(Denied::Metadata),
        false => Ok(()),
    }
}

/// Checks an address, and every IPv4 address inside an IPv6 one. Addresses that are always denied come first, so that a
/// denial names the strictest rule.
pub fn check(address: IpAddr, private: PrivateAddresses) -> Result<(), Denied> {
    let inner = match address {
        IpAddr::V4(_) => Vec::new(),
        IpAddr::V6(address) => embedded(address),
    };
    let addresses = || inner.iter().copied().map(IpAddr::V4).chain([address]);
    addresses().try_for_each(|address| match address {
        IpAddr::V4(address) => check_always_v4(address),
        IpAddr::V6(address) => check_always_v6(address),
    })?;
    if private == PrivateAddresses::Allow {
        return Ok(());
    }
    addresses().try_for_each(|address| match address {
        IpAddr::V4(address) => check_private_v4(address),
        IpAddr::V6(address) => check_private_v6(address, !inner.is_empty()),
    })
}

/// Returns whether unencrypted data may go to an address: only on this host or in a private network (RFC 1918, RFC
/// 4193). A carrier shares 100.64.0.0/10, and an address inside another one leads through a foreign gateway.
pub fn check_unencrypted(address: IpAddr) -> Result<(), Denied> {
    let is_near = match address.to_canonical() {
        IpAddr::V4(address) => address.is_loopback() || address.is_private(),
        IpAddr::V6(address) => address.is_loopback() || address.is_unique_local(),
    };
    match is_near {
        true => Ok(()),
        false => Err(Denied::Unencrypted),
    }
}

/// Names under which clouds serve metadata to any process of the machine. Behind a proxy the name may be all there is.
fn is_metadata_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    [
        "metadata",
        "metadata.google.internal",
        "metadata.goog",
        "instance-data",
        "instance-data.ec2.internal",
        "metadata.tencentyun.com",
        "api.metadata.cloud.ibm.com",
    ]
    .iter()
    .any(|metadata| name.eq_ignore_ascii_case(metadata))
}

fn check_always_v4(address: Ipv4Addr) -> Result<(), Denied> {
    match address.octets() {
        // AWS, Google, Azure and most others; containers and pods of AWS.
        [169, 254, 169, 254] | [169, 254, 170, 2] | [169, 254, 170, 23] => Err(Denied::Metadata),
        // Alibaba Cloud; Azure's platform address; Oracle's classic.
        [100, 100, 100, 200] | [168, 63, 129, 16] | [192, 0, 0, 192] => Err(Denied::Metadata),
        [169, 254, ..] => Err(Denied::LinkLocal),
        _ => Ok(()),
    }
}

fn check_always_v6(address: Ipv6Addr) -> Result<(), Denied> {
    match address.segments() {
        // AWS serves metadata, credentials of pods and more in fd00:ec2::/32; Google; Oracle.
        [0xfd00, 0xec2, ..]
        | [0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254]
        | [0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe] => Err(Denied::Metadata),
        [0xfe80..=0xfebf, ..] => Err(Denied::LinkLocal),
        _ => Ok(()),
    }
}

/// IANA's registry of special purpose addresses (RFC 6890).
fn check_private_v4(address: Ipv4Addr) -> Result<(), Denied> {
    let kind = match address.octets() {
        [0, ..] => "an address of this network (0.0.0.0/8)",
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => "a private address (RFC 1918)",
        [100, 64..=127, ..] => "a carrier's shared address (100.64.0.0/10)",
        [127, ..] => "a loopback address",
        [192, 0, 0, _] => "an address for protocol assignments (192.0.0.0/24)",
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => "an address for documentation",
        [192, 88, 99, _] => "a relay's address (192.88.99.0/24)",
        [198, 18..=19, ..] => "an address for benchmarks (198.18.0.0/15)",
        [224..=239, ..] => "a multicast address",
        [255, 255, 255, 255] => "the broadcast address",
        [240..=255, ..] => "a reserved address (240.0.0.0/4)",
        _ => return Ok(()),
    };
    Err(Denied::Private(kind))
}

/// The same registry. Beyond 2000::/3, only the forms of IPv4 addresses are global.
fn check_private_v6(address: Ipv6Addr, has_embedded: bool) -> Result<(), Denied> {
    let kind = match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => "the unspecified address",
        [0, 0, 0, 0, 0, 0, 0, 1] => "a loopback address",
        [0xfc00..=0xfdff, ..] => "a unique local address (fc00::/7)",
        [0xfec0..=0xfeff, ..] => "a site-local address (fec0::/10)",
        [0xff00..=0xffff, ..] => "a multicast address",
        [0x64, 0xff9b, 1, ..] => "an address for local translation (64:ff9b:1::/48)",
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => "an address for documentation",
        [0x2001, 2, 0, ..] => "an address for benchmarks (2001:2::/48)",
        [0x2001, 0x10..=0x2f, ..] => "an identifier, which is no address (ORCHID)",
        [0x2000..=0x3fff, ..] => return Ok(()),
        _ if has_embedded => return Ok(()),
        _ => "a reserved address (outside of 2000::/3)",
    };
    Err(Denied::Private(kind))
}

/// The IPv4 addresses that an IPv6 address leads to: mapped, compatible, translated, 6to4, Teredo, ISATAP.
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
        [0x64, 0xff9b, 0, _, _, _, high, low] => vec![from(high, low)],
        [0x64, 0xff9b, 1, ..] => locally_translated(address),
        [0x2002, high, low, ..] => vec![from(high, low)],
        [0x2001, 0, high, low, _, _, x, y] => vec![from(high, low), from(!x, !y)],
        [_, _, _, _, 0 | 0x200, 0x5efe, high, low] => vec![from(high, low)],
        _ => Vec::new(),
    }
}

/// The possible IPv4 addresses below 64:ff9b:1::/48: after a prefix of 48, 56, 64 or 96 bits, around the ninth byte
/// (RFC 6052, section 2.2).
fn locally_translated(address: Ipv6Addr) -> Vec<Ipv4Addr> {
    let [
        _,
        _,
        _,
        _,
        _,
        _,
        b6,
        b7,
        _,
        b9,
        b10,
        b11,
        b12,
        b13,
        b14,
        b15,
    ] = address.octets();
    vec![
        Ipv4Addr::new(b6, b7, b9, b10),
        Ipv4Addr::new(b7, b9, b10, b11),
        Ipv4Addr::new(b9, b10, b11, b12),
        Ipv4Addr::new(b12, b13, b14, b15),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(url: &str, private: PrivateAddresses) -> Result<(), Denied> {
        check_host(&Url::parse(url).unwrap(), private)
    }

    #[test]
    fn metadata_and_link_local_addresses_are_denied_always_in_every_spelling() {
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
            "[2001:db8::5efe:a9fe:a9fe]",
            "[64:ff9b:1::169.254.169.254]",
            "[64:ff9b:1:a9fe:a9:fe00::]",
            "[64:ff9b:1:a9:fe:a9fe::]",
            "[64:ff9b:1:0:a9:fea9:fe00:0]",
            "[fd00:ec2::254]",
            "[fd00:ec2::23]",
            "[fd20:ce::254]",
            "[fd00:c1::a9fe:a9fe]",
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
    fn plaintext_is_sent_only_to_private_and_loopback_addresses() {
        for (address, is_allowed) in [
            ("127.0.0.1", true),
            ("127.255.255.255", true),
            ("10.1.2.3", true),
            ("172.16.0.1", true),
            ("172.31.255.255", true),
            ("192.168.1.1", true),
            ("::1", true),
            ("fd12::1", true),
            ("::ffff:10.0.0.1", true),
            ("172.32.0.1", false),
            ("100.64.0.1", false),
            ("93.184.216.34", false),
            ("192.0.2.1", false),
            ("0.0.0.0", false),
            ("224.0.0.1", false),
            ("255.255.255.255", false),
            ("169.254.1.1", false),
            ("2606:2800:220:1::1", false),
            ("::ffff:93.184.216.34", false),
            ("64:ff9b::10.0.0.1", false),
            ("2002:a00:1::", false),
            ("fe80::1", false),
            ("fec0::1", false),
            ("ff02::1", false),
            ("::", false),
        ] {
            let checked = check_unencrypted(address.parse().unwrap());
            assert_eq!(checked.is_ok(), is_allowed, "{address}");
        }
    }

    #[test]
    fn private_addresses_are_denied_when_the_operator_says_so_and_only_then() {
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
            "[2001:0:1:1:0:0:f5ff:fffe]",
            "[2001:db8:1::5efe:10.0.0.1]",
            "192.88.99.1",
            "[100::1]",
            "[2001:2::1]",
            "[2001:20::1]",
            "[3fff::1]",
            "[5f00::1]",
            "[4000::1]",
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
            "[::ffff:93.184.216.34]",
            "[64:ff9b::93.184.216.34]",
            "[2002:5db8:d822::1]",
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
