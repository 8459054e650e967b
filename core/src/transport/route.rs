//! Which way a message goes: straight to its host, or by a proxy that the environment names.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use percent_encoding::percent_decode_str;
use url::Url;

use super::no_proxy::is_exempt;
use crate::model::policy::ProxySettings;
use crate::secret::{Redactor, Secret};

/// The route of one message. Each route has its own client and connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProxyRoute {
    Direct,
    /// The proxy's URL, including its user name and password.
    Proxy(Secret),
}

/// An unusable proxy of the environment. The operator forbids a direct connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadProxy {
    Socks,
    NoUrl,
}

impl BadProxy {
    pub const fn sentence(self) -> &'static str {
        match self {
            BadProxy::Socks => {
                "the environment names a SOCKS proxy, which is not supported; only http and https proxies are"
            }
            BadProxy::NoUrl => {
                "what the environment names as the proxy is no URL such as http://proxy.example:3128"
            }
        }
    }
}

impl ProxyRoute {
    /// `HTTP_PROXY` or `HTTPS_PROXY`, by the scheme of `url`, unless `NO_PROXY` names its host.
    pub fn of(url: &Url, settings: &ProxySettings) -> Result<Self, BadProxy> {
        let proxy = match url.scheme() {
            "https" => &settings.https,
            _ => &settings.http,
        };
        match proxy {
            Some(proxy) if !is_exempt(url, &settings.no_proxy) => {
                let url = parse(proxy.expose().trim())?;
                Ok(ProxyRoute::Proxy(Secret::new(url)))
            }
            _ => Ok(ProxyRoute::Direct),
        }
    }

    /// Removes the proxy's credentials from a proxy's own reply.
    pub fn redactor(&self) -> Option<Redactor> {
        let ProxyRoute::Proxy(proxy) = self else {
            return None;
        };
        let url = Url::parse(proxy.expose()).ok()?;
        let decoded = |part: &str| percent_decode_str(part).decode_utf8_lossy().into_owned();
        let (user, password) = (decoded(url.username()), decoded(url.password()?));
        let pair = format!("{user}:{password}");
        let encoded = BASE64_STANDARD.encode(&pair);
        Some(Redactor::new([password, pair, encoded]))
    }
}

/// The proxy's URL; one without a scheme is an HTTP proxy's, as everywhere.
fn parse(text: &str) -> Result<Url, BadProxy> {
    let url = match text.contains("://") {
        true => Url::parse(text),
        false => Url::parse(&format!("http://{text}")),
    };
    let url = url.map_err(|_| BadProxy::NoUrl)?;
    match url.scheme() {
        "http" | "https" if url.has_host() => Ok(url),
        "socks4" | "socks4a" | "socks5" | "socks5h" => Err(BadProxy::Socks),
        _ => Err(BadProxy::NoUrl),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(url: &str, http: &str, https: &str, no_proxy: &str) -> Result<String, BadProxy> {
        let set = |value: &str| (!value.is_empty()).then(|| Secret::new(value));
        let settings = ProxySettings {
            http: set(http),
            https: set(https),
            no_proxy: no_proxy.to_owned(),
        };
        let route = ProxyRoute::of(&Url::parse(url).unwrap(), &settings)?;
        Ok(match route {
            ProxyRoute::Direct => "direct".to_owned(),
            ProxyRoute::Proxy(url) => url.expose().to_owned(),
        })
    }

    #[test]
    fn the_scheme_chooses_the_proxy_and_no_proxy_exempts_from_it() {
        let (h, s) = ("http://h:1", "http://s:2");
        for (url, no_proxy, expected) in [
            ("http://a.example/", "", "http://h:1/"),
            ("https://a.example/", "", "http://s:2/"),
            ("http://a.example/", "a.example", "direct"),
            ("http://A.example:8080/", "a.EXAMPLE", "direct"),
            ("http://a.example./", "a.example", "direct"),
            ("http://b.a.example/", "a.example", "direct"),
            ("http://b.a.example/", ".a.example", "direct"),
            ("http://ba.example/", "a.example", "http://h:1/"),
            ("http://a.example/", "localhost, a.example", "direct"),
            ("http://a.example/", "localhost a.example", "direct"),
            ("http://a.example/", "*", "direct"),
            ("http://10.1.2.3/", "*", "direct"),
            ("http://[fd00::1]/", "*", "direct"),
            ("http://a.example:8080/", "a.example:8080", "direct"),
            ("http://a.example/", "a.example:8080", "http://h:1/"),
            ("http://b.a.example/", "*.a.example", "direct"),
            ("http://10.1.2.3/", "10.0.0.0/8", "direct"),
            ("http://0xa.1.2.3/", "10.1.2.3", "direct"),
            ("http://11.1.2.3/", "10.0.0.0/8", "http://h:1/"),
            ("http://[fd00::1]/", "fd00::/8", "direct"),
            ("http://a.example/", " ", "http://h:1/"),
        ] {
            let got = route(url, h, s, no_proxy);
            assert_eq!(got.as_deref(), Ok(expected), "{url} {no_proxy:?}");
        }
        assert_eq!(route("http://a/", "", s, "").as_deref(), Ok("direct"));
        assert_eq!(route("https://a/", h, "", "").as_deref(), Ok("direct"));
    }

    #[test]
    fn an_unusable_proxy_is_never_bypassed() {
        for (proxy, expected) in [
            ("proxy.example:3128", Ok("http://proxy.example:3128/")),
            (
                " http://u:p@proxy.example ",
                Ok("http://u:p@proxy.example/"),
            ),
            ("https://proxy.example", Ok("https://proxy.example/")),
            ("socks5://proxy.example", Err(BadProxy::Socks)),
            ("SOCKS5H://proxy.example:1080", Err(BadProxy::Socks)),
            ("ftp://proxy.example", Err(BadProxy::NoUrl)),
            ("http://", Err(BadProxy::NoUrl)),
            ("http://pro xy/", Err(BadProxy::NoUrl)),
            ("\u{fffd}", Err(BadProxy::NoUrl)),
        ] {
            let got = route("http://a.example/", proxy, "", "");
            assert_eq!(got.as_deref(), expected.as_deref(), "{proxy:?}");
            // An exempt host ignores the proxy's error.
            let exempt = route("http://a.example/", proxy, "", "a.example");
            assert_eq!(exempt.as_deref(), Ok("direct"), "{proxy:?}");
        }
    }
}
