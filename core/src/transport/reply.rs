//! Reads a reply: its head, and as much of its body as is wanted, decoded.

use std::io::Read;
use std::time::{Duration, SystemTime};

use bytes::{Buf, Bytes, BytesMut};
use flate2::read::{DeflateDecoder, GzDecoder, ZlibDecoder};
use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use reqwest::Response;
use tokio::time::timeout;

use super::route::ProxyRoute;
use crate::model::wire::HttpReply;

/// Maximum bytes of a reply's body, both as sent and decoded.
const MAX_BODY_BYTES: usize = 64 * 1024;
/// The wait for a body after the status. The status decides; the body only adds detail.
const BODY_GRACE: Duration = Duration::from_secs(1);

/// Reads the head and the needed part of the body. Unread bytes drop the connection.
pub async fn read(mut response: Response, route: &ProxyRoute) -> HttpReply {
    let received = SystemTime::now();
    let mut body = BytesMut::new();
    let whole = async {
        while let Some(chunk) = response.chunk().await.ok()? {
            let room = MAX_BODY_BYTES - body.len();
            body.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
            if chunk.len() > room {
                return None;
            }
        }
        Some(())
    };
    let complete = timeout(BODY_GRACE, whole).await.ok().flatten().is_some();
    let headers = std::mem::take(response.headers_mut());
    let body = ReplyBody {
        bytes: body.freeze(),
        complete,
    };
    let ReplyBody { bytes, complete } = body.decoded(&headers).readable();
    HttpReply {
        status: response.status().as_u16(),
        headers,
        body: without_credentials(bytes, route),
        complete,
        received,
    }
}

/// A reply's body, maybe incomplete.
#[derive(Debug, PartialEq, Eq)]
pub struct ReplyBody {
    pub bytes: Bytes,
    /// Whether the body is complete.
    pub complete: bool,
}

impl ReplyBody {
    const UNREADABLE: Self = Self {
        bytes: Bytes::new(),
        complete: false,
    };

    /// Decodes the content coding. Requests ask for `identity`, but some servers and proxies compress every reply.
    pub fn decoded(self, headers: &HeaderMap) -> Self {
        if self.bytes.is_empty() {
            return self;
        }
        let names = headers.get_all(CONTENT_ENCODING).iter();
        let names = names.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
        let mut codings = names
            .map(<[u8]>::trim_ascii)
            .filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case(b"identity"));
        let coding = match (codings.next(), codings.next()) {
            (None, _) if self.bytes.starts_with(GZIP) => b"gzip",
            (None, _) => return self,
            (Some(coding), None) => coding,
            // A server compresses twice only by mistake.
            (Some(_), Some(_)) => return Self::UNREADABLE,
        };
        match coding.to_ascii_lowercase().as_slice() {
            b"gzip" | b"x-gzip" => self.through(GzDecoder::new),
            b"deflate" if is_zlib(&self.bytes) => self.through(ZlibDecoder::new),
            // Some servers use the name for raw deflate (RFC 9110, 8.4.1.2).
            b"deflate" => self.through(DeflateDecoder::new),
            _ => Self::UNREADABLE,
        }
    }

    /// The decoder's output, up to the bound.
    fn through<R: Read>(self, decoder: impl FnOnce(bytes::buf::Reader<Bytes>) -> R) -> Self {
        let mut decoded = Vec::new();
        let mut decoder = decoder(self.bytes.reader()).take(MAX_BODY_BYTES as u64 + 1);
        let ended = decoder.read_to_end(&mut decoded).is_ok();
        let fits = decoded.len() <= MAX_BODY_BYTES;
        decoded.truncate(MAX_BODY_BYTES);
        Self {
            bytes: decoded.into(),
            complete: self.complete && ended && fits,
        }
    }

    /// A body without text helps no channel and must not be shown.
    pub fn readable(self) -> Self {
        match is_text(&self.bytes) {
            true => self,
            false => Self::UNREADABLE,
        }
    }
}

/// The first bytes of gzip with deflate (RFC 1952, 2.3.1), which no text begins with.
const GZIP: &[u8] = &[0x1f, 0x8b, 8];

/// Returns whether the checksum of zlib's two header bytes is right (RFC 1950, 2.2).
fn is_zlib(bytes: &[u8]) -> bool {
    match bytes {
        [first, second, ..] => {
            first & 0x0f == 8 && u16::from_be_bytes([*first, *second]).is_multiple_of(31)
        }
        _ => false,
    }
}

/// Returns whether at least half of the characters are readable. Some providers send Latin-1, or cut a character.
fn is_text(bytes: &[u8]) -> bool {
    const LOOKED_AT: usize = 1024;
    let head = String::from_utf8_lossy(bytes.get(..LOOKED_AT).unwrap_or(bytes));
    let is_odd = |c: &char| {
        *c == char::REPLACEMENT_CHARACTER || (c.is_control() && !c.is_ascii_whitespace())
    };
    head.chars().filter(is_odd).count() * 2 <= head.chars().count()
}

/// A proxy's own reply may quote the request, and no channel can mask the proxy's credentials.
fn without_credentials(body: Bytes, route: &ProxyRoute) -> Bytes {
    let Some(redactor) = route.redactor() else {
        return body;
    };
    let text = String::from_utf8_lossy(&body);
    let clean = redactor.redact(&text);
    if clean == text { body } else { clean.into() }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
    use http::HeaderValue;

    use super::*;

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    fn zlib(plain: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    fn deflate(plain: &[u8]) -> Vec<u8> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    /// Returns the decoded body that a channel gets.
    fn read(codings: &[&'static str], bytes: Vec<u8>) -> ReplyBody {
        let mut headers = HeaderMap::new();
        for coding in codings {
            headers.append(CONTENT_ENCODING, HeaderValue::from_static(coding));
        }
        let body = ReplyBody {
            bytes: bytes.into(),
            complete: true,
        };
        body.decoded(&headers).readable()
    }

    #[test]
    fn a_singly_encoded_body_is_decoded() {
        let plain = br#"{"ok": true}"#.repeat(100);
        for (codings, bytes) in [
            (&["gzip"][..], gzip(&plain)),
            (&["x-gzip"], gzip(&plain)),
            (&[" GZip "], gzip(&plain)),
            (&["identity, gzip"], gzip(&plain)),
            (&["", "gzip"], gzip(&plain)),
            (&[], gzip(&plain)),
            (&["deflate"], zlib(&plain)),
            (&["deflate"], deflate(&plain)),
            (&["identity"], plain.clone()),
            (&[], plain.clone()),
        ] {
            let expected = ReplyBody {
                bytes: plain.clone().into(),
                complete: true,
            };
            assert_eq!(read(codings, bytes), expected, "{codings:?}");
        }
        // An empty body is empty in every coding.
        let empty = read(&["gzip"], Vec::new());
        assert!(empty.bytes.is_empty() && empty.complete);
    }

    #[test]
    fn an_undecodable_body_is_absent() {
        let plain = b"words";
        let mut broken = gzip(plain);
        broken.splice(..3, *b"abc");
        for (codings, bytes) in [
            (&["br"][..], plain.to_vec()),
            (&["gzip, gzip"], gzip(&gzip(plain))),
            (&["gzip", "deflate"], gzip(plain)),
            (&["gzip"], broken),
            (&["gzip"], plain.to_vec()),
            (&["deflate"], vec![0xff; 100]),
            (&[], (0x80..=0xff).collect()),
            (
                &[],
                b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\x89"
                    .to_vec(),
            ),
        ] {
            assert_eq!(read(codings, bytes), ReplyBody::UNREADABLE, "{codings:?}");
        }
    }

    #[test]
    fn a_body_that_is_cut_or_too_long_is_given_as_far_as_it_goes() {
        let plain = b"words of a provider".repeat(20);
        let mut cut = gzip(&plain);
        cut.truncate(cut.len() - 8);
        let body = read(&["gzip"], cut);
        assert_eq!((&body.bytes[..], body.complete), (&plain[..], false));
        // A bomb: a megabyte in a thousand bytes.
        for (coding, bomb) in [
            ("gzip", gzip(&vec![b'x'; 1 << 20])),
            ("deflate", zlib(&vec![b'x'; 1 << 20])),
            ("deflate", deflate(&vec![b'x'; 1 << 20])),
        ] {
            let body = read(&[coding], bomb);
            assert_eq!((body.bytes.len(), body.complete), (MAX_BODY_BYTES, false));
        }
        let exact = read(&["gzip"], gzip(&vec![b'x'; MAX_BODY_BYTES]));
        assert_eq!((exact.bytes.len(), exact.complete), (MAX_BODY_BYTES, true));
    }
}
