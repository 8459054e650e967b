//! Which hosts are reached without the proxy: `NO_PROXY` as curl reads it (<https://curl.se/libcurl/c/CURLOPT_NOPROXY.html>), and
//! in addition `host:port` and `*.example.com`, which other clients accept.

use std::net::IpAddr;

use url::{Host, Url};

/// Returns whether an entry of `NO_PROXY` matches the host of a URL. Commas or blanks separate the entries. Names are
/// not resolved.
pub fn is_exempt(url: &Url, no_proxy: &str) -> bool {
    let Some(host) = url.host() else {
        return false;
    };
    let mut entries = no_proxy.split([',', ' ', '\t', '\n', '\r']);
    entries.any(|entry| matches(entry, &host, url.port_or_known_default()))
}

fn matches(entry: &str, host: &Host<&str>, port: Option<u16>) -> bool {
    if entry == "*" {
        return true;
    }
    let (pattern, only_port) = split_port(entry);
    if only_port.is_some() && only_port != port {
        return false;
    }
    match host {
        Host::Domain(name) => matches_name(pattern, name),
        Host::Ipv4(address) => matches_address(pattern, (*address).into()),
        Host::Ipv6(address) => matches_address(pattern, (*address).into()),
    }
}

/// `host:8080`, `[::1]:8080`; an IPv6 address without brackets has no port.
fn split_port(entry: &str) -> (&str, Option<u16>) {
    let port = entry.rsplit_once(':').and_then(|(host, port)| {
        let is_name = !host.contains(':') || host.ends_with(']');
        Some((host, port.parse().ok()?)).filter(|_| is_name)
    });
    port.map_or((entry, None), |(host, port)| (host, Some(port)))
}

/// The name itself and all names below it. `.example.com` is the same; `*.example.com` does not match `example.com`.
fn matches_name(pattern: &str, name: &str) -> bool {
    let (pattern, only_below) = match pattern.strip_prefix("*.") {
        Some(pattern) => (pattern, true),
        None => (pattern.strip_prefix('.').unwrap_or(pattern), false),
    };
    // Upper case and international names are written as in a URL.
    let Ok(Host::Domain(pattern)) = Host::parse(pattern.trim_end_matches('.')) else {
        return false;
    };
    let name = name.trim_end_matches('.');
    let is_below = name
        .strip_suffix(&pattern)
        .is_some_and(|rest| rest.ends_with('.'));
    is_below || (!only_below && name == pattern)
}

/// An address in any spelling, or a network: `10.0.0.0/8`.
fn matches_address(pattern: &str, address: IpAddr) -> bool {
    let (network, bits) = match pattern.split_once('/') {
        Some((network, bits)) => match bits.parse() {
            Ok(bits) => (network, Some(bits)),
            Err(_) => return false,
        },
        None => (pattern, None),
    };
    let network = network.trim_start_matches('[').trim_end_matches(']');
    let network = match network.contains(':') {
        true => network.parse().ok().map(IpAddr::V6),
        false => match Host::parse(network) {
            Ok(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            _ => None,
        },
    };
    let Some(network) = network else {
        return false;
    };
    match bits {
        None => network.to_canonical() == address.to_canonical(),
        Some(bits) => is_in_network(address.to_canonical(), network, bits),
    }
}

fn is_in_network(address: IpAddr, network: IpAddr, bits: u32) -> bool {
    match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) if bits <= 32 => {
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            address.to_bits() & mask == network.to_bits() & mask
        }
        (IpAddr::V6(address), IpAddr::V6(network)) if bits <= 128 => {
            let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
            address.to_bits() & mask == network.to_bits() & mask
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_of_an_entry_matches_only_its_hosts() {
        for (entry, matching, others) in [
            ("*", "http://a/ https://1.2.3.4/ http://[::1]:8080/", ""),
            ("x, *", "http://a/ http://1.2.3.4/", ""),
            ("", "", "http://a/ http://1.2.3.4/"),
            (" , ,", "", "http://a/ http://1.2.3.4/"),
            (
                "example.com",
                "http://example.com/ https://example.com:8443/ http://a.b.example.com/ http://EXAMPLE.com./",
                "http://notexample.com/ http://example.com.org/ http://com/ http://example.comm/",
            ),
            (
                "Example.COM.",
                "http://example.com/ http://a.example.com./",
                "http://ample.com/",
            ),
            (
                ".example.com",
                "http://example.com/ http://a.example.com/",
                "http://notexample.com/",
            ),
            (
                "*.example.com",
                "http://a.example.com/ http://a.b.example.com/",
                "http://example.com/ http://notexample.com/",
            ),
            (
                "*example.com",
                "",
                "http://example.com/ http://notexample.com/",
            ),
            ("a*.example.com", "", "http://ab.example.com/"),
            (
                "bücher.example",
                "http://xn--bcher-kva.example/ http://a.bücher.example/",
                "http://bucher.example/",
            ),
            (
                "example.com:8080",
                "http://example.com:8080/ https://a.example.com:8080/",
                "http://example.com/ http://example.com:80801/ http://other:8080/",
            ),
            (
                "example.com:80",
                "http://example.com/",
                "https://example.com/",
            ),
            (
                "*.example.com:443",
                "https://a.example.com/",
                "https://example.com/ http://a.example.com/",
            ),
            ("example.com:port", "", "http://example.com/"),
            ("example.com:99999", "", "http://example.com/"),
            (
                "localhost,127.0.0.1",
                "http://localhost:1/ http://127.0.0.1/",
                "http://127.0.0.2/",
            ),
            (
                "localhost 10.1.2.3",
                "http://0xa.1.2.3/ http://[::ffff:10.1.2.3]/",
                "http://10.1.2.4/",
            ),
            ("10.1.2.3:8080", "http://10.1.2.3:8080/", "http://10.1.2.3/"),
            (
                "10.0.0.0/8",
                "http://10.1.2.3/ http://[::ffff:10.1.2.3]/",
                "http://11.1.2.3/ http://a/ http://[::a]/",
            ),
            ("10.1.2.3/32", "http://10.1.2.3/", "http://10.1.2.2/"),
            ("0.0.0.0/0", "http://10.1.2.3/", "http://[::1]/ http://a/"),
            ("10.0.0.0/33", "", "http://10.0.0.0/"),
            ("10.0.0.0/", "", "http://10.0.0.0/"),
            ("10.0.0.0/-1", "", "http://10.0.0.0/"),
            ("10.", "", "http://10.0.0.1/"),
            (
                "::1",
                "http://[::1]/ http://[::1]:8080/ http://[0:0::1]/",
                "http://[::2]/",
            ),
            ("[::1]", "http://[::1]/ http://[::1]:8080/", "http://[::2]/"),
            ("[::1]:8080", "http://[::1]:8080/", "http://[::1]/"),
            (
                "fd00::/8",
                "http://[fd00::1]/ http://[fdff::]/",
                "http://[fe00::]/ http://10.0.0.1/",
            ),
            ("[fd00::]/8", "http://[fd00::1]/", "http://[fe00::]/"),
            ("::/0", "http://[fd00::1]/", "http://10.0.0.1/"),
        ] {
            for (urls, expected) in [(matching, true), (others, false)] {
                for text in urls.split_whitespace() {
                    let Ok(url) = Url::parse(text) else {
                        assert!(!expected, "{text}");
                        continue;
                    };
                    assert_eq!(is_exempt(&url, entry), expected, "{entry:?} {text}");
                }
            }
        }
    }
}
