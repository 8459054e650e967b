//! Tests the address guard with the real client, an injected resolver of invented names, and loopback sockets only. A
//! connection to an allowed public address is redirected to loopback.

mod heads;
mod proxy;

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderMap, Method};
use reqwest::dns::Resolve;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

use super::client::MAX_HEADERS;
use super::{Dns, HostLookup, HttpTransport, SendError, Sent, Transport};
use crate::model::outcome::Reason;
use crate::model::policy::{ClientKey, PrivateAddresses, ProxySettings};
use crate::model::wire::{
    HttpRequest, Mail, MailServer, MailTls, Mailbox, Outbound, Reply, ResendEffect,
};
use PrivateAddresses::{Allow, Deny};

const PUBLIC: &str = "93.184.216.34";
const ALSO_PUBLIC: &str = "2606:2800:220:1::1";

/// The answers to the lookups of a name, in order; the last one repeats. Records the requested names.
#[derive(Clone, Default)]
struct Names {
    answers: Arc<Mutex<HashMap<String, Vec<Vec<IpAddr>>>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl HostLookup for Names {
    fn lookup(&self, host: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        self.asked.lock().unwrap().push(host.clone());
        let mut answers = self.answers.lock().unwrap();
        let answer = match answers.get_mut(&host) {
            Some(answers) if answers.len() > 1 => Ok(answers.remove(0)),
            Some(answers) => Ok(answers[0].clone()),
            None => Err(io::ErrorKind::NotFound.into()),
        };
        // An empty list represents a name server without a response.
        let is_silent = answer.as_ref().is_ok_and(Vec::is_empty);
        Box::pin(async move {
            match is_silent {
                true => std::future::pending().await,
                false => answer,
            }
        })
    }
}

struct World {
    transport: HttpTransport,
    names: Names,
    /// The addresses that the guard has given to the connector.
    let_through: Arc<Mutex<Vec<String>>>,
    proxy: ProxySettings,
}

impl World {
    /// With names and the addresses of each, one list a look-up.
    fn new(names: &[(&str, &[&[&str]])]) -> Self {
        let known = Names::default();
        for (name, answers) in names {
            let answers = answers
                .iter()
                .map(|answer| answer.iter().map(|ip| ip.parse().unwrap()).collect());
            let mut all = known.answers.lock().unwrap();
            all.insert((*name).to_owned(), answers.collect());
        }
        let let_through = Arc::new(Mutex::new(Vec::new()));
        let mut transport = HttpTransport::new(Dns::new(known.clone()));
        let noted = Arc::clone(&let_through);
        transport.detour = Some(Arc::new(move |address| {
            noted.lock().unwrap().push(address.to_string());
            Ipv4Addr::LOCALHOST.into()
        }));
        Self {
            transport,
            names: known,
            let_through,
            proxy: ProxySettings::default(),
        }
    }

    fn key(&self, private_addresses: PrivateAddresses) -> ClientKey {
        ClientKey {
            private_addresses,
            reuse: true,
            connect_timeout: Duration::from_secs(2),
            proxy: Arc::new(self.proxy.clone()),
            tls: None,
        }
    }

    /// The reply's status, or the reason with the sentence that the user reads.
    async fn send(&self, url: &str, private: PrivateAddresses) -> Result<u16, (Reason, String)> {
        self.send_any(Outbound::Http(message(url)), private).await
    }

    /// The same of a mail to a server at a host and a port; of a refusal its code.
    async fn mail(
        &self,
        host: &str,
        port: u16,
        private: PrivateAddresses,
    ) -> Result<u16, (Reason, String)> {
        self.mail_by(MailTls::StartTls, host, port, private).await
    }

    /// The same, encrypted so.
    async fn mail_by(
        &self,
        tls: MailTls,
        host: &str,
        port: u16,
        private: PrivateAddresses,
    ) -> Result<u16, (Reason, String)> {
        let mail = Mail {
            server: MailServer {
                host: host.to_owned(),
                port,
                tls,
                credentials: None,
                hello: None,
            },
            from: Mailbox {
                name: None,
                address: "a@example.com".to_owned(),
            },
            recipient: "b@example.com".to_owned(),
            to: Vec::new(),
            cc: Vec::new(),
            reply_to: Vec::new(),
            subject: "hi".to_owned(),
            text: "hi".to_owned(),
            html: None,
            message_id: "1@example.com".to_owned(),
            thread: None,
            date: None,
            resend: ResendEffect::Forbidden,
        };
        self.send_any(Outbound::Mail(Box::new(mail)), private).await
    }

    async fn send_any(
        &self,
        outbound: Outbound,
        private: PrivateAddresses,
    ) -> Result<u16, (Reason, String)> {
        let key = self.key(private);
        let sent = self
            .transport
            .send(&outbound, &key, Duration::from_secs(5))
            .await;
        match sent {
            Ok(Reply::Http(reply)) => Ok(reply.status),
            Ok(Reply::Smtp(reply)) => Ok(reply.code),
            Err(SendError { failure, sent, .. }) => {
                assert_eq!(sent, Sent::No, "{failure}");
                let detail = failure.detail.as_ref();
                let said = detail.map_or(failure.reason.sentence(), |detail| detail.as_str());
                Err((failure.reason, said.to_owned()))
            }
        }
    }

    fn let_through(&self) -> Vec<String> {
        std::mem::take(&mut self.let_through.lock().unwrap())
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.names.asked.lock().unwrap())
    }
}

fn message(url: &str) -> HttpRequest {
    HttpRequest {
        method: Method::POST,
        url: Url::parse(url).unwrap(),
        headers: HeaderMap::new(),
        body: Bytes::from_static(b"{}"),
        resend: ResendEffect::ShownTwice,
    }
}

/// A server on loopback that answers every request with `status` and notes its head.
struct Server {
    port: u16,
    heads: Arc<Mutex<Vec<String>>>,
    connections: Arc<Mutex<usize>>,
}

impl Server {
    async fn start(status: &'static str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let server = Self {
            port: listener.local_addr().unwrap().port(),
            heads: Arc::default(),
            connections: Arc::default(),
        };
        let (heads, connections) = (Arc::clone(&server.heads), Arc::clone(&server.connections));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                *connections.lock().unwrap() += 1;
                tokio::spawn(serve(stream, status, Arc::clone(&heads)));
            }
        });
        server
    }

    fn heads(&self) -> Vec<String> {
        std::mem::take(&mut self.heads.lock().unwrap())
    }

    fn connections(&self) -> usize {
        *self.connections.lock().unwrap()
    }
}

async fn serve(mut stream: TcpStream, status: &str, heads: Arc<Mutex<Vec<String>>>) {
    let mut read = Vec::new();
    while let Ok(1..) = stream.read_buf(&mut read).await {
        let text = String::from_utf8_lossy(&read).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        // A CONNECT has no body, all others have `{}`.
        if head.contains("content-length") && body.len() < 2 {
            continue;
        }
        heads.lock().unwrap().push(head.to_owned());
        read.clear();
        let reply = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
        if stream.write_all(reply.as_bytes()).await.is_err() {
            return;
        }
    }
}

fn refused(detail: &str) -> Result<u16, (Reason, String)> {
    Err((Reason::AddressDenied, detail.to_owned()))
}

const METADATA: &str = "the host is a cloud metadata service, which is always denied";
const LINK_LOCAL: &str = "the host is at a link-local address, which is always denied";
const LOOPBACK: &str = "the host is at a loopback address, which private_addresses=deny forbids";
const RFC_1918: &str =
    "the host is at a private address (RFC 1918), which private_addresses=deny forbids";

#[tokio::test]
async fn a_name_that_leads_to_a_metadata_service_is_denied_under_every_policy() {
    for (address, sentence) in [
        ("169.254.169.254", METADATA),
        ("fd00:ec2::254", METADATA),
        ("::ffff:169.254.169.254", METADATA),
        ("64:ff9b::a9fe:a9fe", METADATA),
        ("2002:a9fe:a9fe::1", METADATA),
        ("2001:0:1:1:0:0:5601:5601", METADATA),
        ("169.254.0.1", LINK_LOCAL),
        ("fe80::1", LINK_LOCAL),
    ] {
        let world = World::new(&[("innocent.example", &[&[address]])]);
        for private in [Allow, Deny] {
            let got = world.send("http://innocent.example/latest", private).await;
            assert_eq!(got, refused(sentence), "{address}");
        }
        assert_eq!(world.let_through(), [""; 0], "{address}");
    }
}

#[tokio::test]
async fn a_name_that_leads_to_a_private_address_is_denied_when_the_operator_says_so() {
    let server = Server::start("200 OK").await;
    for (address, sentence) in [
        ("127.0.0.1", LOOPBACK),
        ("::1", LOOPBACK),
        ("::ffff:127.0.0.1", LOOPBACK),
        ("10.0.0.1", RFC_1918),
        ("64:ff9b::10.0.0.1", RFC_1918),
    ] {
        let world = World::new(&[("internal.example", &[&[address]])]);
        let url = format!("http://internal.example:{}/", server.port);
        assert_eq!(world.send(&url, Deny).await, refused(sentence), "{address}");
        assert_eq!((server.connections(), server.heads().len()), (0, 0));
        assert_eq!(world.let_through(), [""; 0]);
    }
    let world = World::new(&[("internal.example", &[&["127.0.0.1"]])]);
    let url = format!("http://internal.example:{}/", server.port);
    assert_eq!(world.send(&url, Allow).await, Ok(200));
}

#[tokio::test]
async fn of_a_name_with_mixed_addresses_only_the_allowed_are_tried() {
    let server = Server::start("200 OK").await;
    let mixed: &[&str] = &[
        "10.0.0.1",
        PUBLIC,
        "127.0.0.1",
        "169.254.169.254",
        "fd00::1",
    ];
    for (private, tried) in [
        (Deny, vec![PUBLIC]),
        (Allow, vec!["10.0.0.1", PUBLIC, "127.0.0.1", "fd00::1"]),
    ] {
        let world = World::new(&[("mixed.example", &[mixed])]);
        let url = format!("http://mixed.example:{}/hook", server.port);
        assert_eq!(world.send(&url, private).await, Ok(200), "{private:?}");
        assert_eq!(world.let_through(), tried, "{private:?}");
        let [head] = &server.heads()[..] else {
            panic!("not one request")
        };
        assert!(head.starts_with("POST /hook HTTP/1.1"), "{head}");
        assert!(head.contains("host: mixed.example"), "{head}");
    }
}

#[tokio::test]
async fn the_answer_that_was_checked_is_the_one_connected_to() {
    let server = Server::start("200 OK").await;
    let world = World::new(&[("rebound.example", &[&[PUBLIC], &["127.0.0.1"]])]);
    let url = format!("http://rebound.example:{}/", server.port);
    for _ in 0..3 {
        assert_eq!(world.send(&url, Deny).await, Ok(200));
    }
    assert_eq!(world.let_through(), [PUBLIC], "no second answer was used");
    assert_eq!(world.asked(), ["rebound.example"], "nor asked for");
}

#[tokio::test(start_paused = true)]
async fn a_later_answer_is_judged_anew() {
    let world = World::new(&[("rebound.example", &[&[PUBLIC], &["127.0.0.1"]])]);
    let resolver = world
        .transport
        .resolver(&world.key(Deny), &super::route::ProxyRoute::Direct);
    let name = || "rebound.example".parse().unwrap();
    assert!(resolver.resolve(name()).await.is_ok());
    tokio::time::advance(Duration::from_secs(29)).await;
    assert!(resolver.resolve(name()).await.is_ok(), "pinned until then");
    tokio::time::advance(Duration::from_secs(2)).await;
    let denied = resolver.resolve(name()).await.err().unwrap();
    assert_eq!(denied.to_string(), LOOPBACK);
    assert_eq!(world.let_through(), [PUBLIC, PUBLIC]);
}

#[tokio::test]
async fn a_connection_that_one_policy_opened_is_not_used_under_another() {
    let server = Server::start("200 OK").await;
    let world = World::new(&[("internal.example", &[&["10.0.0.1"]])]);
    let url = format!("http://internal.example:{}/", server.port);
    for _ in 0..2 {
        assert_eq!(world.send(&url, Allow).await, Ok(200));
    }
    assert_eq!(server.connections(), 1, "it was kept");
    assert_eq!(world.send(&url, Deny).await, refused(RFC_1918));
    assert_eq!((server.connections(), server.heads().len()), (1, 2));
}

/// A mail server on loopback that requires no authentication.
async fn mail_server() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(b"554 5.7.1 no\r\n").await;
        }
    });
    port
}

#[tokio::test]
async fn rows_24_to_27_mail_servers_are_guarded_as_web_servers_are() {
    let port = mail_server().await;
    let names: &[(&str, &[&[&str]])] = &[
        ("metadata.example", &[&["169.254.169.254"]]),
        ("internal.example", &[&["10.0.0.1"]]),
        ("mixed.example", &[&["10.0.0.1", PUBLIC, "fe80::1"]]),
        ("rebound.example", &[&[PUBLIC], &["127.0.0.1"]]),
    ];
    for (host, private, expected, tried) in [
        ("metadata.example", Allow, refused(METADATA), vec![]),
        ("metadata.google.internal", Allow, refused(METADATA), vec![]),
        ("169.254.169.254", Allow, refused(METADATA), vec![]),
        ("::ffff:169.254.169.254", Allow, refused(METADATA), vec![]),
        ("127.0.0.1", Deny, refused(LOOPBACK), vec![]),
        ("::1", Deny, refused(LOOPBACK), vec![]),
        ("internal.example", Deny, refused(RFC_1918), vec![]),
        ("internal.example", Allow, Ok(554), vec!["10.0.0.1"]),
        ("mixed.example", Deny, Ok(554), vec![PUBLIC]),
    ] {
        let world = World::new(names);
        assert_eq!(world.mail(host, port, private).await, expected, "{host}");
        assert_eq!(world.let_through(), tried, "{host}");
        assert!(!world.asked().iter().any(|name| name.contains("google")));
    }
    let public = "the host is at a public address, to which nothing is sent without encryption";
    for (host, private, expected, tried) in [
        ("internal.example", Allow, Ok(554), vec!["10.0.0.1"]),
        ("internal.example", Deny, refused(RFC_1918), vec![]),
        ("127.0.0.1", Allow, Ok(554), vec!["127.0.0.1"]),
        ("mixed.example", Allow, Ok(554), vec!["10.0.0.1"]),
        ("rebound.example", Allow, refused(public), vec![]),
        (PUBLIC, Allow, refused(public), vec![]),
        ("metadata.example", Allow, refused(METADATA), vec![]),
    ] {
        let world = World::new(names);
        let answer = world.mail_by(MailTls::Clear, host, port, private).await;
        assert_eq!(answer, expected, "{host} in clear");
        assert_eq!(world.let_through(), tried, "{host} in clear");
    }
    let world = World::new(names);
    for _ in 0..3 {
        assert_eq!(world.mail("rebound.example", port, Deny).await, Ok(554));
    }
    assert_eq!(world.let_through(), [PUBLIC; 3]);
    assert_eq!(world.asked(), ["rebound.example"]);
}
