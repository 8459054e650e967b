//! Tests the guard with a proxy: what it can still check, and which side a failure names.

use std::time::Instant;

use super::*;
use crate::secret::Secret;

/// Returns a world whose `HTTP_PROXY` is a server on loopback, with a name that resolves to a private address.
async fn behind_a_proxy(names: &[(&str, &[&[&str]])]) -> (World, Server) {
    let proxy = Server::start("200 OK").await;
    let mut names = names.to_vec();
    names.push(("proxy.internal", &[&["10.9.9.9"]]));
    let mut world = World::new(&names);
    let url = format!("http://u5er:pa55@proxy.internal:{}", proxy.port);
    world.proxy.http = Some(Secret::new(url));
    (world, proxy)
}

#[tokio::test]
async fn denied_addresses_are_refused_before_the_proxy_is_asked() {
    let (world, proxy) = behind_a_proxy(&[]).await;
    for (url, sentence) in [
        ("http://169.254.169.254/latest", METADATA),
        ("http://0xa9fea9fe/latest", METADATA),
        ("http://[::ffff:169.254.169.254]/latest", METADATA),
        ("http://metadata.google.internal/latest", METADATA),
        ("http://METADATA.google.internal./latest", METADATA),
        ("http://[fe80::1]/", LINK_LOCAL),
    ] {
        for private in [Allow, Deny] {
            assert_eq!(world.send(url, private).await, refused(sentence), "{url}");
        }
    }
    let got = world.send("http://127.0.0.1/", Deny).await;
    assert_eq!(got, refused(LOOPBACK));
    assert_eq!((proxy.connections(), world.asked().len()), (0, 0));
}

#[tokio::test]
async fn a_proxy_resolves_names_unless_they_resolve_here_to_denied_addresses() {
    let (world, proxy) = behind_a_proxy(&[
        ("metadata.example", &[&["169.254.169.254"]]),
        ("mapped.example", &[&["::ffff:169.254.169.254"]]),
        ("half.example", &[&[PUBLIC, "169.254.1.1"]]),
        ("public.example", &[&[PUBLIC, ALSO_PUBLIC]]),
        ("mixed.example", &[&[PUBLIC, "10.0.0.1"]]),
        ("loop.example", &[&["127.0.0.1"]]),
    ])
    .await;
    let nowhere = (
        Reason::Dns,
        "the host's name could not be resolved: it does not exist or has no address".to_owned(),
    );
    for (host, private, expected, asked) in [
        (
            "mixed.example",
            Allow,
            Ok(200),
            vec!["mixed.example", "proxy.internal"],
        ),
        ("unknown.example", Allow, Ok(200), vec!["unknown.example"]),
        (
            "metadata.example",
            Allow,
            refused(METADATA),
            vec!["metadata.example"],
        ),
        (
            "mapped.example",
            Allow,
            refused(METADATA),
            vec!["mapped.example"],
        ),
        (
            "half.example",
            Allow,
            refused(LINK_LOCAL),
            vec!["half.example"],
        ),
        ("metadata.example", Deny, refused(METADATA), vec![]),
        ("public.example", Deny, Ok(200), vec!["public.example"]),
        ("mixed.example", Deny, refused(RFC_1918), vec![]),
        (
            "loop.example",
            Deny,
            refused(LOOPBACK),
            vec!["loop.example"],
        ),
        ("unknown.example", Deny, Err(nowhere), vec![]),
    ] {
        let got = world.send(&format!("http://{host}/hook"), private).await;
        assert_eq!(got, expected, "{host} {private:?}");
        assert_eq!(world.asked(), asked, "{host} {private:?}");
        let heads = proxy.heads();
        assert_eq!(heads.len(), usize::from(expected.is_ok()), "{host}");
        if let Some(head) = heads.first() {
            let line = format!("POST http://{host}/hook HTTP/1.1");
            assert!(head.starts_with(&line), "{head}");
            // u5er:pa55
            assert!(
                head.contains("proxy-authorization: Basic dTVlcjpwYTU1"),
                "{head}"
            );
        }
    }
    assert!(
        world
            .let_through()
            .iter()
            .all(|address| address == "10.9.9.9"),
        "only the proxy, which may be at a private address: its operator named it"
    );
}

#[tokio::test]
async fn a_host_that_no_proxy_names_goes_straight_and_by_the_guards_own_rule() {
    let (mut world, proxy) = behind_a_proxy(&[
        ("mixed.example", &[&["10.0.0.1", PUBLIC]]),
        ("loop.example", &[&["127.0.0.1"]]),
    ])
    .await;
    world.proxy.no_proxy = "mixed.example, loop.example, 127.0.0.0/8, proxy.internal".to_owned();
    let server = Server::start("200 OK").await;
    let url = |host: &str| format!("http://{host}:{}/", server.port);
    // Behind the proxy one private address would deny the name; straight, the others are used.
    assert_eq!(world.send(&url("mixed.example"), Deny).await, Ok(200));
    assert_eq!(world.let_through(), [PUBLIC]);
    for host in ["loop.example", "127.0.0.1"] {
        assert_eq!(world.send(&url(host), Allow).await, Ok(200), "{host}");
        assert_eq!(
            world.send(&url(host), Deny).await,
            refused(LOOPBACK),
            "{host}"
        );
    }
    // The proxy's own name is not allowed as a destination.
    let got = world.send(&url("proxy.internal"), Deny).await;
    assert_eq!(got, refused(RFC_1918));
    assert_eq!((server.heads().len(), proxy.connections()), (3, 0));
}

#[tokio::test]
async fn proxy_failures_name_the_proxy() {
    let refusing = Server::start("407 Proxy Authentication Required").await;
    let gone = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = gone.local_addr().unwrap().port();
    drop(gone);
    let at = |sentence: &str| format!("the proxy that the environment names: {sentence}");
    for (proxy, reason, sentence) in [
        (
            format!("http://127.0.0.1:{port}"),
            Reason::Connect,
            at("the connection was refused: nothing listens there"),
        ),
        (
            "http://nowhere.example:1".to_owned(),
            Reason::Dns,
            at("the host's name could not be resolved: it does not exist or has no address"),
        ),
        (
            "http://169.254.169.254:80".to_owned(),
            Reason::AddressDenied,
            at(METADATA),
        ),
        (
            "http://linklocal.example:80".to_owned(),
            Reason::AddressDenied,
            at(LINK_LOCAL),
        ),
        (
            "socks5://127.0.0.1:1080".to_owned(),
            Reason::Proxy,
            "the environment names a SOCKS proxy, which is not supported; only http and https proxies are".to_owned(),
        ),
        (
            format!("http://127.0.0.1:{}", refusing.port),
            Reason::Proxy,
            "the proxy made no connection to the host".to_owned(),
        ),
    ] {
        let mut world = World::new(&[("linklocal.example", &[&["169.254.1.1"]])]);
        world.proxy.https = Some(Secret::new(proxy.clone()));
        let got = world.send("https://public.example/", Allow).await;
        assert_eq!(got, Err((reason, sentence)), "{proxy}");
    }
    let [head] = &refusing.heads()[..] else {
        panic!("not one request")
    };
    assert!(
        head.starts_with("CONNECT public.example:443 HTTP/1.1"),
        "{head}"
    );
}

#[tokio::test]
async fn behind_a_proxy_a_name_server_that_does_not_answer_is_waited_for_only_a_moment() {
    let (world, proxy) = behind_a_proxy(&[("silent.example", &[&[]])]).await;
    let started = Instant::now();
    let got = world.send("http://silent.example/hook", Allow).await;
    assert_eq!((got, proxy.heads().len()), (Ok(200), 1));
    assert!(started.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn a_host_header_is_judged_like_the_host_of_the_url() {
    let (world, proxy) = behind_a_proxy(&[]).await;
    for (host, private, expected) in [
        ("virtual.example", Allow, Ok(200)),
        ("virtual.example:8080", Deny, Ok(200)),
        ("10.0.0.1", Allow, Ok(200)),
        ("10.0.0.1", Deny, refused(RFC_1918)),
        ("metadata.google.internal", Allow, refused(METADATA)),
        ("METADATA.google.internal.:80", Allow, refused(METADATA)),
        ("169.254.169.254", Allow, refused(METADATA)),
        ("0xa9fea9fe:80", Allow, refused(METADATA)),
        ("[fe80::1]:80", Allow, refused(LINK_LOCAL)),
    ] {
        let mut message = message(&format!("http://{PUBLIC}/hook"));
        message.headers.insert("host", host.parse().unwrap());
        let got = world.send_any(Outbound::Http(message), private).await;
        assert_eq!(got, expected, "{host} {private:?}");
        assert_eq!(proxy.heads().len(), usize::from(expected.is_ok()), "{host}");
    }
}
