//! Why no reply came, in our own words: a library's text is never shown, since it may hold the URL.

use std::error::Error as StdError;
use std::fmt::Display;
use std::io;

use super::dns::DnsError;
use super::guard::Denied;
use super::route::{BadProxy, ProxyRoute};
use super::{SendError, Sent, tls};
use crate::model::outcome::{Detail, Failure, Reason};
use crate::secret::Redactor;

/// The guard denied the address. Nothing was connected, and a retry would not help.
pub fn denied(rule: Denied) -> SendError {
    before_sending(Reason::AddressDenied, rule, true)
}

pub fn unresolved(error: DnsError) -> SendError {
    before_sending(Reason::Dns, error, false)
}

pub fn bad_proxy(bad: BadProxy) -> SendError {
    before_sending(Reason::Proxy, bad.sentence(), true)
}

/// The time was up.
pub fn too_late(sent: Sent) -> SendError {
    SendError {
        failure: Failure::new(Reason::Timeout),
        sent,
        permanent: false,
    }
}

/// Something of the notifier's own that could not be set up.
pub fn unusable(message: &'static str) -> SendError {
    before_sending(Reason::Internal, message, true)
}

fn before_sending(reason: Reason, detail: impl Display, permanent: bool) -> SendError {
    let detail = Detail::new(&detail.to_string(), &Redactor::default());
    SendError {
        failure: Failure::new(reason).with_detail(detail),
        sent: Sent::No,
        permanent,
    }
}

/// The same failure, for the proxy: its address and name are not the destination's.
pub fn of_proxy(mut error: SendError) -> SendError {
    let message = error.failure.detail.as_ref().map_or("", Detail::as_str);
    let detail_text = format!("the proxy that the environment names: {message}");
    error.failure.detail = Detail::new(&detail_text, &Redactor::default());
    error
}

/// Classifies the client's error.
pub fn classify(error: &reqwest::Error, sent: Sent, route: &ProxyRoute) -> SendError {
    let meant = meaning(error, sent);
    match route {
        ProxyRoute::Proxy(_) if error.is_connect() => behind_a_proxy(meant),
        _ => meant,
    }
}

/// The failure of a connection through a proxy: the known part of the proxy is named.
fn behind_a_proxy(mut meant: SendError) -> SendError {
    match (meant.failure.reason, &meant.failure.detail) {
        (Reason::AddressDenied | Reason::Dns, _) | (Reason::Connect, Some(_)) => of_proxy(meant),
        // The proxy was reached, but gave no connection.
        (Reason::Connect, None) => {
            let detail = Detail::from("the proxy made no connection to the host");
            meant.failure = Failure::new(Reason::Proxy).with_detail(Some(detail));
            meant
        }
        (Reason::Timeout, _) => {
            let detail = Detail::from("no connection was made through the proxy in time");
            meant.failure.detail = Some(detail);
            meant
        }
        // Other failures, such as a certificate's, are the destination's.
        _ => meant,
    }
}

fn meaning(error: &reqwest::Error, sent: Sent) -> SendError {
    if let Some(rule) = cause::<Denied>(error) {
        return denied(*rule);
    }
    if let Some(dns) = cause::<DnsError>(error) {
        return unresolved(*dns);
    }
    let sent = if error.is_connect() { Sent::No } else { sent };
    let (reason, detail, permanent) = if let Some(tls) = cause::<rustls::Error>(error) {
        (Reason::Tls, Some(tls::sentence(tls)), true)
    } else if io_causes(error).any(is_out_of_descriptors) {
        (Reason::OutOfDescriptors, None, false)
    } else if error.is_timeout() || io_causes(error).any(|io| io.kind() == io::ErrorKind::TimedOut)
    {
        (Reason::Timeout, None, false)
    } else if error.is_connect() {
        (Reason::Connect, connect_sentence(error), false)
    } else if cause::<hyper::Error>(error).is_some_and(hyper::Error::is_parse) {
        (Reason::MalformedReply, None, false)
    } else {
        (Reason::ConnectionLost, None, false)
    };
    let mut failure = Failure::new(reason).with_detail(detail.map(Detail::from));
    failure.hint = cause::<rustls::Error>(error)
        .and_then(tls::hint)
        .map(Into::into);
    let error = SendError {
        failure,
        sent: Sent::No,
        permanent,
    };
    error.with_sent(sent)
}

/// No connection was established.
pub fn unconnected(error: &io::Error) -> SendError {
    let reason = match error.kind() {
        _ if is_out_of_descriptors(error) => Reason::OutOfDescriptors,
        io::ErrorKind::TimedOut => Reason::Timeout,
        _ => Reason::Connect,
    };
    SendError {
        failure: Failure::new(reason).with_detail(connecting(error).map(Detail::from)),
        sent: Sent::No,
        permanent: false,
    }
}

fn connect_sentence(error: &reqwest::Error) -> Option<&'static str> {
    io_causes(error).find_map(connecting)
}

fn connecting(error: &io::Error) -> Option<&'static str> {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            Some("the connection was refused: nothing listens there")
        }
        io::ErrorKind::ConnectionReset => Some("the connection was reset while it was made"),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            Some("there is no way to the host from this server")
        }
        io::ErrorKind::UnexpectedEof => Some("the connection was closed while it was made"),
        _ => None,
    }
}

/// `EMFILE` and `ENFILE`, which have no `ErrorKind`.
fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(24 | 23))
}

/// The chain of sources of an error; an `io::Error` returns its inner error only by `get_ref`.
fn chain<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error| {
        let error: &'a (dyn StdError + 'static) = *error;
        let wrapped = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
            .map(|inner| inner as &(dyn StdError + 'static));
        wrapped.or_else(|| error.source())
    })
}

fn cause<T: StdError + 'static>(error: &reqwest::Error) -> Option<&T> {
    chain(error).find_map(|cause| cause.downcast_ref())
}

fn io_causes(error: &reqwest::Error) -> impl Iterator<Item = &io::Error> {
    chain(error).filter_map(|cause| cause.downcast_ref())
}
