"""Invalid replies to every channel: the number of requests, and the result."""

import base64
import gzip
import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from tests.channels.channel import NUMBERS, ChannelSpec, Reply, RequestSender, SendResult, channels
from tests.harness import Standin

BY_SENDER = channels()
OVER_HTTP = [channel for channel in BY_SENDER.values() if channel.over_http]
TWILIO = ("sms", "whatsapp")


@dataclass
class Asked:
    """A unique destination that gives the same reply to every request."""

    channel: ChannelSpec
    name: str
    fault: dict[str, Any]

    @property
    def base(self) -> str:
        """Its address without a slash at its end."""
        return str(self.fault["url"]).rstrip("/")

    def requests(self, standin: Standin) -> int:
        """How often it was asked."""
        return int(standin.fault_report(self.fault["port"])["requests"])


def send(
    asked: Iterable[Asked], request_sender: RequestSender, limits: dict[str, str]
) -> list[tuple[Asked, dict[str, Any]]]:
    """Send ``hi`` to all at once; only the trigger says where Twilio is, so those go one by one."""
    destinations = list(asked)
    together = [one for one in destinations if one.channel.sender not in TWILIO]
    sent: list[tuple[Asked, dict[str, Any]]] = []

    def entries(some: list[Asked], **arguments: str) -> SendResult:
        wanted = [(one.channel, one.channel.destination(one.base, next(NUMBERS))) for one in some]
        return request_sender.send(wanted, {**limits, **arguments})

    if together:
        sent += zip(together, entries(together).entries, strict=True)
    for one in destinations:
        if one.channel.sender in TWILIO:
            sent.append((one, entries([one], twilio_base_url=one.fault["url"]).entry))
    return sent


WAITS = {
    "response_timeout": "4s",
    "delivery_timeout": "1500ms",
    "initial_backoff": "200ms",
    "max_backoff": "400ms",
    "max_attempts": "100",
    "on_ambiguous": "report",
}
"""Attempts at 0, 0.2, 0.6, 1.0 and 1.4 s; with the shortest waits there is one more."""
MOST = 6

HEADERS = ["0", "0.001", "Thu, 01 Jan 1970 00:00:10 GMT", "", "-1", "999999999"]
MEMBERS = [0, 0.003, -1, None, "x", 1e308]


def limited(standin: Standin) -> Iterable[Asked]:
    """Every status that asks for a wait with every wait, and every channel's own way to name one."""

    def asked(sender: str, name: str, **reply: Any) -> Asked:
        return Asked(BY_SENDER[sender], f"{sender} {name}", standin.fault("reply", **reply))

    for status in (429, 408, 425, 503):
        for value in HEADERS:
            yield asked("http", f"{status} {value!r}", status=status, headers=[["Retry-After", value]])
    for member in MEMBERS:
        yield asked("discord", repr(member), status=429, json={"message": "x", "retry_after": member, "global": False})
        parameters = {"retry_after": member}
        yield asked("telegram", repr(member), status=429, json={"ok": False, "parameters": parameters})
    bucket = [["X-RateLimit-Remaining", "0"], ["X-RateLimit-Reset-After", "0"]]
    yield asked("discord", "bucket", status=503, headers=bucket)
    yield asked("opsgenie", "period", status=429, headers=[["X-RateLimit-Period-In-Sec", "0"]])
    for channel in OVER_HTTP:
        yield asked(channel.sender, "0", status=429, headers=[["Retry-After", "0"]])


def test_a_providers_wait_never_shortens_the_backoff(request_sender: RequestSender, standin: Standin) -> None:
    for asked, entry in send(limited(standin), request_sender, WAITS):
        requests = asked.requests(standin)
        assert 1 <= requests <= MOST, (asked.name, requests)
        assert entry["attempts"] == requests, (asked.name, entry)
        assert entry["outcome"] == "failed", (asked.name, entry)
        if "999999999" in asked.name:
            # A rate limit is obeyed; a server in trouble that names years is asked again.
            assert (requests == 1) == ("429" in asked.name), (asked.name, requests)


# Heads

ENOUGH = {**WAITS, "initial_backoff": "10ms", "max_backoff": "20ms", "max_attempts": "3"}

UNTIDY: dict[str, list[list[str]]] = {
    "a folded header": [["X-Folded", "one\r\n two\r\n\tthree"]],
    "a blank before the colon": [["X-Blank ", "x"]],
    "a name with a blank": [["X Blank", "x"]],
    "a line without a colon": [["X-Line", "x\r\njust words\r\nX-Next: y"]],
    "no name": [["", "x"]],
    "a name beyond ASCII": [["X-Größe", "x"]],
    "a control character in a value": [["X-Control", "a\x01b"]],
    "a value beyond ASCII": [["X-Value", "größer"]],
    "150 headers": [[f"X-{n}", "x"] for n in range(150)],
    "900 headers": [[f"X-{n}", "x"] for n in range(900)],
}
"""Heads that curl takes and a strict reader does not."""

UNREADABLE: dict[str, dict[str, Any]] = {
    "10,000 headers": {"kind": "many_headers"},
    "a header of 1 MB": {"kind": "huge_header"},
    "garbage": {"kind": "malformed_status", "line": "\x00\x01\x02 gopher"},
    "another protocol": {"kind": "malformed_status", "line": "SSH-2.0-OpenSSH_9.6"},
    "letters for a status": {"kind": "malformed_status", "line": "HTTP/1.1 2OO OK"},
    "HTTP/0.9": {"kind": "http09"},
    "no length": {"kind": "reply", "headers": [["Content-Length", "many"]]},
    "two lengths": {"kind": "reply", "headers": [["Content-Length", "2"], ["Content-Length", "3"]]},
    "status 999": {"kind": "reply", "status": 999},
    "status 101": {"kind": "reply", "status": 101},
}
"""Bytes that are not an HTTP reply."""


def body_of(reply: Reply) -> bytes:
    """As a rule's reply would have it."""
    return (reply.body if isinstance(reply.body, str) else json.dumps(reply.body)).encode()


def as_reply(reply: Reply, headers: Iterable[list[str]], body: bytes | None = None) -> dict[str, Any]:
    """The fault that answers like this."""
    given = body_of(reply) if body is None else body
    encoded = {"body_base64": base64.b64encode(given).decode()} if given else {}
    headers = [["Content-Type", "application/json"], *headers]
    return {"kind": "reply", "status": reply.status, "headers": headers, **encoded}


def test_with_a_malformed_head_the_status_decides(request_sender: RequestSender, standin: Standin) -> None:
    asked = [
        Asked(channel, f"{channel.sender}: {name}", standin.fault(**as_reply(channel.success, headers)))
        for channel in OVER_HTTP
        for name, headers in UNTIDY.items()
    ]
    for one, entry in send(asked, request_sender, ENOUGH):
        assert (entry["outcome"], entry["attempts"]) == ("delivered", 1), (one.name, entry)
        assert one.requests(standin) == 1, one.name


def test_bytes_that_are_no_reply_are_ambiguous_and_nothing_is_sent_again(
    request_sender: RequestSender, standin: Standin
) -> None:
    asked = [
        Asked(channel, f"{channel.sender}: {name}", standin.fault(**fault))
        for channel in OVER_HTTP
        for name, fault in UNREADABLE.items()
    ]
    for one, entry in send(asked, request_sender, ENOUGH):
        got = (entry["outcome"], entry["reason"], entry["attempts"])
        assert got == ("ambiguous", "malformed_reply", 1), (one.name, entry)
        assert one.requests(standin) == 1, one.name


@pytest.mark.parametrize("kind", ["close", "reset"])
def test_without_any_reply_byte_the_message_is_sent_again(
    request_sender: RequestSender, standin: Standin, kind: str
) -> None:
    asked = [
        Asked(channel, channel.sender, standin.fault(kind)) for channel in OVER_HTTP if not channel.has_long_backoff
    ]
    for one, entry in send(asked, request_sender, ENOUGH):
        is_sms = one.channel.sender in TWILIO
        expected = ("ambiguous", "lost_reply", 1) if is_sms else ("failed", "connection_lost", 3)
        assert (entry["outcome"], entry["reason"], entry["attempts"]) == expected, entry


# Bodies


def raw_deflate(body: bytes) -> bytes:
    """Without zlib's header, as some servers have it."""
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(body) + compressor.flush()


BINARY = bytes(range(0x80, 0x100)) * 4

READABLE: Mapping[str, tuple[str, Any]] = {
    "gzip": ("gzip", gzip.compress),
    "x-gzip": ("X-GZIP", gzip.compress),
    "deflate": ("deflate", zlib.compress),
    "raw deflate": ("deflate", raw_deflate),
    "identity": ("identity", bytes),
    "nothing": ("", bytes),
    "gzip that is not declared": ("", gzip.compress),
}
UNREADABLE_BODIES: Mapping[str, tuple[str, Any]] = {
    "gzip that is cut": ("gzip", lambda body: gzip.compress(body)[:-12]),
    "no gzip": ("gzip", lambda body: body + b"?"),
    "no deflate": ("deflate", lambda body: b"\x78\x9c" + BINARY),
    "br": ("br", lambda body: BINARY),
    "zstd": ("zstd", lambda body: BINARY),
    "an unknown coding": ("x-own", lambda body: BINARY),
    "two codings": ("gzip, gzip", lambda body: gzip.compress(gzip.compress(body))),
    "binary": ("", lambda body: BINARY),
}


def encoded(standin: Standin, name: str, channel: ChannelSpec, reply: Reply, coding: str, body: bytes) -> Asked:
    """A destination that gives a reply with this body."""
    headers = [["Content-Encoding", coding]] if coding else []
    return Asked(channel, f"{channel.sender}: {name}", standin.fault(**as_reply(reply, headers, body)))


def test_a_success_counts_in_every_encoding_and_with_an_unreadable_body(
    request_sender: RequestSender, standin: Standin
) -> None:
    asked = [
        encoded(standin, name, channel, channel.success, coding, encode(body_of(channel.success)))
        for channel in OVER_HTTP
        for name, (coding, encode) in {**READABLE, **UNREADABLE_BODIES}.items()
    ]
    for one, entry in send(asked, request_sender, ENOUGH):
        assert (entry["outcome"], entry["attempts"]) == ("delivered", 1), (one.name, entry)
        assert one.requests(standin) == 1, one.name
        head = standin.fault_report(one.fault["port"])["heads"][0].lower()
        assert "accept-encoding: identity" in head


def test_a_refusal_is_classified_the_same_in_every_encoding(request_sender: RequestSender, standin: Standin) -> None:
    finals = [(channel, reply) for channel in OVER_HTTP for reply in channel.replies if reply.status == 400]
    rejected_requests = [(channel, reply) for channel, reply in finals if reply.reason != "rate_limited"]
    asked = {
        name: [
            encoded(standin, name, channel, reply, coding, encode(body_of(reply)))
            for channel, reply in rejected_requests
            if channel.sender not in TWILIO
        ]
        for name, (coding, encode) in READABLE.items()
    }
    plain = [entry for _, entry in send(asked.pop("nothing"), request_sender, ENOUGH)]
    for group in asked.values():
        for (one, entry), expected in zip(send(group, request_sender, ENOUGH), plain, strict=True):
            for member in ("outcome", "reason", "detail", "hint"):
                assert entry[member] == expected[member], (one.name, entry)


@pytest.mark.parametrize("status", [400, 503])
def test_detail_contains_no_binary_data(request_sender: RequestSender, standin: Standin, status: int) -> None:
    asked = [
        encoded(standin, name, channel, Reply(status), coding, encode(b'{"message": "words"}'))
        for channel in OVER_HTTP
        for name, (coding, encode) in UNREADABLE_BODIES.items()
    ]
    for one, entry in send(asked, request_sender, {**ENOUGH, "max_attempts": "1"}):
        assert entry["outcome"] != "delivered", (one.name, entry)
        assert (entry["detail"] or "").isascii(), (one.name, entry)
