"""Random requests: every response has ``results`` and no secret, and no call raises.

The wheel is called as the plugin file calls it. Every destination is a port of loopback where nobody listens, and
``allowed_hosts`` sees to it that no other is tried.
"""

import json
import os
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import influxdb3_notifier
from tests.contract.case import ERROR_MEMBERS, MEMBERS
from tests.harness import encode_headers, free_port
from tests.recording_local import RecordingLocal

MARK = "s3cr3tM4rkOfAnything"
CLOSED = f"127.0.0.1:{free_port()}"
ARGUMENTS = {
    "response_timeout": "1s",
    "delivery_timeout": "1s",
    "max_attempts": "1",
    "connect_timeout": "100ms",
    "attempt_timeout": "100ms",
    "on_ambiguous": "report",
    "allowed_hosts": "127.0.0.1",
    "twilio_base_url": f"http://{CLOSED}",
}

EXAMPLES = settings(
    max_examples=int(os.environ.get("MAX_EXAMPLES", "300")),
    # The same ones every time, unless more are asked for.
    derandomize="MAX_EXAMPLES" not in os.environ,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)

texts = st.text(max_size=40) | st.sampled_from(["", " ", "hi", "\0", "\ud800", "\u202e", "a" * 3000, "@everyone"])
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=8
)

urls = st.sampled_from(
    [
        f"http://{CLOSED}/{MARK}",
        f"http://user:{MARK}@{CLOSED}/?q={MARK}#{MARK}",
        f"https://{CLOSED}/{MARK}",
        f"ftp://{CLOSED}/{MARK}",
        f"http://host.invalid/{MARK}",
        f"http://169.254.169.254/{MARK}",
        f"http://[::ffff:127.0.0.1]/{MARK}",
        f"//{CLOSED}/{MARK}",
        f"http://{CLOSED}/{MARK}\r\n",
        MARK,
    ]
)
header_fields = st.builds(
    encode_headers, st.dictionaries(texts.filter(str.isprintable), st.just(MARK), max_size=3)
) | st.sampled_from([MARK, "e30=", "bm90IGpzb24="])
numbers = st.sampled_from([MARK, f"+1555{MARK}", f"whatsapp:{MARK}", f"{MARK}\n", "+15558675310"])


def configuration(sender: str) -> st.SearchStrategy[Any]:
    """A sender's configuration: nearly right, or anything."""
    if sender in ("sms", "whatsapp"):
        fields: dict[str, st.SearchStrategy[Any]] = {
            "twilio_sid": st.sampled_from([MARK, f"AC{MARK}", f"SK{MARK}", f"../{MARK}"]),
            "twilio_token": st.just(MARK),
            "twilio_from_number": numbers,
            "twilio_to_number": numbers,
            "twilio_account_sid": st.sampled_from([f"AC{MARK}", f"{MARK}/.."]),
        }
    else:
        fields = {f"{sender}_webhook_url": urls, f"{sender}_headers": header_fields}
    nearly = st.fixed_dictionaries({}, optional={name: value | scalars_without_mark for name, value in fields.items()})
    return nearly | st.lists(nearly, max_size=3) | anything


scalars_without_mark = st.none() | st.booleans() | st.integers() | texts
SENDERS = ("slack", "discord", "http", "sms", "whatsapp")
senders = (
    st.fixed_dictionaries({}, optional={name: configuration(name) for name in SENDERS})
    | st.dictionaries(texts, anything, max_size=3)
    | anything
)
bodies = st.fixed_dictionaries(
    {},
    optional={
        "notification_text": anything,
        "senders_config": senders,
        "receivers": anything,
        "idempotency_key": anything,
        "dedup_key": anything,
        "level": anything,
        "fields": anything,
        "timestamp": anything,
        "data": anything,
    },
)
nearly_json = bodies.map(lambda body: json.dumps(body).encode())
cut_or_spoiled = st.builds(
    lambda body, at, spoil: body[: at % (len(body) + 1)] + spoil + body[at % (len(body) + 1) :],
    nearly_json,
    st.integers(0, 10_000),
    st.binary(max_size=3),
)
encoded = st.builds(
    lambda body, encoding: json.dumps(body).encode(encoding),
    bodies,
    st.sampled_from(["utf-16", "utf-16-be", "utf-32", "utf-8-sig"]),
)


def call(body: bytes, query: Any, headers: Any, arguments: Any) -> tuple[Any, int, list[str]]:
    """Response, status and log lines of one call."""
    log = RecordingLocal()
    response: Any = influxdb3_notifier.process_request(1, log, query, headers, body, arguments)
    assert len(response) in (2, 3)
    return response[0], response[1], log.lines


def holds(body: Any, status: int, lines: list[str]) -> None:
    """Check the rules for every response."""
    assert status in (200, 400, 503), body
    assert set(MEMBERS) <= set(body)
    assert set(body) <= {*ERROR_MEMBERS, "replayed", "joined"}
    assert isinstance(body["results"], dict)
    assert ("error" in body) == (status != 200)
    shown = json.dumps(body)
    assert MARK not in shown
    assert len(body["deliveries"]) >= len(body["results"])
    for entry in body["deliveries"]:
        assert (entry["outcome"] == "failed") == (entry["reason"] is not None and entry["hint"] is not None)
        assert entry["reason"] != "internal"
    for line in lines:
        assert line.startswith("notifier [")
        assert line.isascii()
        assert line.isprintable()
        assert MARK not in line


@EXAMPLES
@given(nearly_json | cut_or_spoiled | encoded | st.binary(max_size=200))
@example(b"")
@example(b"\xef\xbb\xbf")
@example(b'{"notification_text": "x", "senders_config": {"http": [[]]}}')
def test_any_body_is_answered_with_results_and_without_a_secret(body: bytes) -> None:
    holds(*call(body, {}, {}, ARGUMENTS))


pairs = st.dictionaries(texts, texts | scalars, max_size=4) | scalars
BODY = json.dumps({"notification_text": "hi", "senders_config": {}}).encode()
names = st.sampled_from([*ARGUMENTS, "outbox", "rate_limit", "max_in_flight", "failure_status", "history_table"])
values = texts | st.sampled_from(
    ["0s", "1e9", "-1", f"http://u:{MARK}@{CLOSED}", "99999999999999999999h", "1/s", "\u0661s"]
)


@EXAMPLES
@given(st.dictionaries(names | texts, values, max_size=5))
def test_any_argument_is_accepted_or_named_in_a_503(arguments: dict[str, str]) -> None:
    body, status, lines = call(BODY, {}, {}, arguments)
    holds(body, status, lines)
    if status == 503:
        assert body["error"]["path"] in arguments
        assert body["error"]["hint"]


@EXAMPLES
@given(query=pairs, headers=pairs, arguments=pairs)
def test_any_headers_and_query_parameters_are_answered(query: Any, headers: Any, arguments: Any) -> None:
    if isinstance(query, dict) and "view" in query:
        return
    holds(*call(BODY, query, headers, arguments))
