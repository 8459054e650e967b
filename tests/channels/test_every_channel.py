"""Requirements for every channel, tested over real connections. The registry lists the channels."""

import json
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

import pytest

from tests.channels.channel import FAST, FIRING, NUMBERS, REGISTRY, ChannelSpec, Reply, RequestSender, channels
from tests.contract.test_length import CLUSTERS, NUMBER, utf16
from tests.harness import ROOT, Standin, http_request
from tests.leaks.echoes import ECHOES

BY_SENDER = channels()
EVERY = pytest.mark.parametrize("channel", BY_SENDER.values(), ids=BY_SENDER)
OVER_HTTP = [channel for channel in BY_SENDER.values() if channel.over_http]
HTTP = pytest.mark.parametrize("channel", OVER_HTTP, ids=[channel.sender for channel in OVER_HTTP])
"""A test of HTTP channels. Other channels have tests in their own files."""


# The files of a channel. Rust tests check its stand-in and the README


def test_each_channel_has_a_file_a_registry_line_tests_and_a_docs_section() -> None:
    declared = set()
    for path in (ROOT / "core" / "src" / "channels").rglob("*.rs"):
        declared |= set(re.findall(r'ChannelSpec = ChannelSpec \{\n\s+key: "(\w+)"', path.read_text(encoding="utf-8")))
    document = (ROOT / "docs" / "channels.md").read_text(encoding="utf-8")
    sections = set(re.findall(r"^## (\w+)$", document, re.MULTILINE))
    assert declared == set(REGISTRY), "a file in core/src/channels, and a line in CHANNELS of its mod.rs"
    assert set(BY_SENDER) == set(REGISTRY), "a file tests/channels/test_NAME.py with a CHANNEL"
    assert sections == set(REGISTRY), "a section `## NAME` in docs/channels.md"


# Arriving messages


def received(standin: Standin, channel: ChannelSpec, number: int) -> list[dict[str, Any]]:
    """The requests of a destination, to which the provider had no objection."""
    requests = channel.received(standin, number)
    assert all((got["accepted"], got["problem"]) == (True, None) for got in requests), requests
    return requests


def same(body: str, expected: object) -> None:
    """Compare bytes exactly and other values as JSON, where ``...`` matches a value that varies."""
    if isinstance(expected, bytes):
        assert body.encode() == expected
    else:
        assert without_own(json.loads(body), expected) == expected


def without_own(got: Any, expected: object) -> Any:
    """The received value, with ``...`` in place of an expected varying value: a key of 32 digits, or a time."""
    if expected is ...:
        assert re.fullmatch(r"[0-9a-f]{32}|20\d\d-[\d-]+T[\d:.]+Z", got)
        return ...
    if isinstance(expected, dict) and isinstance(got, dict):
        return {name: without_own(value, expected.get(name)) for name, value in got.items()}
    if isinstance(expected, list) and isinstance(got, list) and len(expected) == len(got):
        return [without_own(*pair) for pair in zip(got, expected, strict=True)]
    return got


@HTTP
@pytest.mark.parametrize("form", ["plain", "rich"])
def test_the_message_that_arrives_matches_the_channels_specification(
    channel: ChannelSpec, form: str, request_sender: RequestSender, standin: Standin
) -> None:
    number = next(NUMBERS)
    request = FIRING if form == "rich" else {"notification_text": "hi"}
    sent = request_sender.send([(channel, channel.at(standin, number))], **request)
    assert (sent.entry["outcome"], sent.response.json["warnings"]) == ("delivered", []), sent.response.text
    requests = received(standin, channel, number)
    same(requests[0]["body"], getattr(channel, form))
    framing = {"host": re.escape(f"127.0.0.1:{standin.port}"), "content-length": r"\d+", "accept": ".+"}
    framing["accept-encoding"] = "identity"
    expected = {"user-agent": r"influxdb3-notifier/[\d.]+", **framing, **channel.headers}
    assert sorted(name for name, _ in requests[0]["headers"]) == sorted(expected)
    for name, value in requests[0]["headers"]:
        assert re.fullmatch(expected[name], value), (name, value)
    ids = [message["id"] for message in standin.messages() if message["id"]]
    assert sent.entry["message_id"] == (ids[0] if ids else None)


@EVERY
def test_a_dry_run_shows_the_messages_and_sends_nothing(
    channel: ChannelSpec, request_sender: RequestSender, standin: Standin
) -> None:
    number = next(NUMBERS)
    shown = request_sender.send([(channel, channel.at(standin, number))], **FIRING, dry_run=True)
    assert shown.entry["outcome"] == "dry_run"
    assert channel.received(standin, number) == []
    assert "CPU" in shown.entry["preview"]["body"]


def leaves(value: Any) -> Iterable[str]:
    """The strings in a value."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner)
    elif not isinstance(value, bool):
        yield str(value)


@HTTP
@pytest.mark.parametrize("form", ["plain", "rich"])
def test_every_optional_parameter_is_sent_with_its_example_and_accepted(
    channel: ChannelSpec, form: str, request_sender: RequestSender, standin: Standin
) -> None:
    """One parameter at a time, because some exclude others."""
    optional = [one for one in channel.request_parameters() if not one["required"] and one["kind"] != HEADERS]
    optional = [one for one in optional if one["name"] not in channel.own_tests and not one["environment"]]
    numbers = {one["name"]: next(NUMBERS) for one in optional}
    destinations = []
    for one in optional:
        example = toml_value(one)
        destinations.append((channel, {**channel.at(standin, numbers[one["name"]]), one["name"]: example}))
    if not destinations:
        return
    request = FIRING if form == "rich" else {"notification_text": "hi"}
    sent = request_sender.send(destinations, **request)
    assert sent.response.json["warnings"] == [], sent.response.text
    for one, entry in zip(optional, sent.entries, strict=True):
        assert entry["outcome"] == "delivered", (one["name"], entry)
        [request_seen] = received(standin, channel, numbers[one["name"]])[:1]
        raw = json.dumps(request_seen, ensure_ascii=False).replace("\\", "")
        shown = raw + unquote_plus(raw)
        if form == "rich" or one["name"] not in channel.rich_only:
            assert all(leaf in shown for leaf in leaves(toml_value(one))), (one["name"], shown)


def toml_value(parameter: dict[str, Any]) -> Any:
    """A parameter's example as a value."""
    if parameter["kind"] in ("string", "string or list of strings"):
        return parameter["example"]
    return tomllib.loads(f"it = {parameter['example']}")["it"]


# How long


def in_unit(unit: str, text: str) -> int:
    """The length as the registry counts it."""
    match unit:
        case "code points":
            return len(text)
        case "UTF-16 code units":
            return utf16(text)
        case "bytes":
            return len(text.encode())
        case "bytes of JSON":
            return len(json.dumps(text, ensure_ascii=False).encode()) - 2
    raise ValueError(unit)


def texts(channel: ChannelSpec) -> Iterable[tuple[str, int]]:
    """Texts of whole clusters around the limit, and by how much they are over it."""
    limit, unit = channel.registry_entry["longest_text"]["length"], channel.registry_entry["longest_text"]["unit"]
    for cluster in CLUSTERS.values():
        for over in (-1, 0, 1):
            # Letters at both ends: outer white space is not everywhere counted.
            count, rest = divmod(limit + over - 2, in_unit(unit, cluster))
            yield "b" * (rest + 1) + cluster * count + "e", over


@EVERY
def test_a_text_at_the_limit_is_one_message_and_a_longer_one_loses_nothing_without_a_warning(
    channel: ChannelSpec, request_sender: RequestSender, standin: Standin
) -> None:
    if channel.registry_entry["longest_text"] is None:
        number = next(NUMBERS)
        sent = request_sender.send([(channel, channel.at(standin, number))], notification_text="x" * 200_000)
        assert (sent.entry["outcome"], sent.entry["parts"], sent.response.json["warnings"]) == ("delivered", 1, [])
        return
    limit, unit = channel.registry_entry["longest_text"]["length"], channel.registry_entry["longest_text"]["unit"]
    for text, over in texts(channel):
        standin.clear()
        number = next(NUMBERS)
        sent = request_sender.send([(channel, channel.at(standin, number))], notification_text=text)
        assert sent.entry["outcome"] == "delivered", sent.response.text
        received(standin, channel, number)
        parts = [message["text"] for message in standin.messages()]
        assert len(parts) == sent.entry["parts"]
        if over <= 0:
            assert parts == [text]
            assert sent.response.json["warnings"] == []
        elif channel.registry_entry["longer_text"] == "split":
            assert all(in_unit(unit, part) <= limit for part in parts)
            assert [match and match[0] for match in map(NUMBER.match, parts)] == ["(1/2) ", "(2/2) "]
            # Some providers show no white space at a message's end.
            whole = "".join(NUMBER.sub("", part, count=1) for part in parts)
            assert "".join(whole.split()) == "".join(text.split())
            assert sent.response.json["warnings"] == []
        else:
            assert len(parts) == 1
            assert in_unit(unit, parts[0]) <= limit
            [warning] = sent.response.json["warnings"]
            missing = re.search(r"the last (\d+) characters are missing", warning)
            assert missing
            kept = parts[0].removesuffix(f"… {missing[1]} characters missing")
            assert text.startswith(kept)
            assert len(kept) + int(missing[1]) == len(text)


@pytest.mark.parametrize("sender_name", ["slack", "discord", "google_chat", "whatsapp"])
def test_a_long_block_of_code_is_closed_and_opened_again_in_each_message(
    sender_name: str, request_sender: RequestSender, standin: Standin
) -> None:
    channel, number = BY_SENDER[sender_name], next(NUMBERS)
    lines = channel.registry_entry["longest_text"]["length"] // 10 * 2
    text = "see\n```\n" + "select 5;\n" * lines + "```\nand more"
    sent = request_sender.send([(channel, channel.at(standin, number))], notification_text=text)
    assert sent.entry["outcome"] == "delivered", sent.response.text
    received(standin, channel, number)
    parts = [message["text"] for message in standin.messages()]
    assert len(parts) == sent.entry["parts"] > 1
    assert all(part.count("```") == 2 for part in parts), [part.count("```") for part in parts]
    assert sum(part.count("select 5;") for part in parts) == lines


LONG: dict[str, Any] = {
    "notification_text": "a text",
    "title": "title " * 200,
    "fields": {f"sensor {n}": "value " * (1 + n * 10) for n in range(60)},
    "link": "https://example.com/" + "x" * 6_000,
}


@EVERY
def test_too_long_values_of_a_rich_notification_are_cut_with_a_warning(
    channel: ChannelSpec, request_sender: RequestSender, standin: Standin
) -> None:
    number = next(NUMBERS)
    sent = request_sender.send([(channel, channel.at(standin, number))], **LONG)
    assert sent.entry["outcome"] == "delivered", sent.response.text
    received(standin, channel, number)
    if channel.registry_entry["longest_text"]:
        assert sent.response.json["warnings"] != []


@HTTP
def test_fields_with_equal_normalized_names_all_arrive_with_a_warning(
    channel: ChannelSpec, request_sender: RequestSender, standin: Standin
) -> None:
    """Names that a channel cleans or cuts; and names that some channels use themselves."""
    long = "n" * 600
    names = ["a\nb", "a b", "a  b", long + "1", long + "2", "notification_text", "summary", "description"]
    fields = {name: f"value{number}" for number, name in enumerate(names)}
    number = next(NUMBERS)
    sent = request_sender.send([(channel, channel.at(standin, number))], title="t", fields=fields)
    assert sent.entry["outcome"] == "delivered", sent.response.text
    shown = json.dumps(received(standin, channel, number))
    assert all(value in shown for value in fields.values()), shown
    numbered = [warning for warning in sent.response.json["warnings"] if "numbered" in warning]
    assert len(numbered) == (channel.sender != "http"), sent.response.text


# Markup

HOSTILE = (
    "@everyone @channel <!channel> <@U1> <users/all> *b* _i_ ~s~ `c` ||x|| <b>h</b> &amp; [a](https://evil.example) "
    "<at>x</at> # h"
)


@EVERY
def test_markup_in_title_fields_and_link_mentions_nobody(
    channel: ChannelSpec, request_sender: RequestSender, standin: Standin
) -> None:
    number = next(NUMBERS)
    hostile: dict[str, Any] = {
        "title": HOSTILE,
        "fields": {HOSTILE: HOSTILE},
        "link": f"https://evil.example/{HOSTILE}",
    }
    sent = request_sender.send([(channel, channel.at(standin, number))], **hostile, level="critical")
    assert sent.entry["outcome"] == "delivered", sent.response.text
    received(standin, channel, number)
    assert channel.mentions(standin, number) == [[]]


# Replies of the provider


def by_status(channel: ChannelSpec, status: int) -> tuple[str, str | None]:
    """Outcome and reason of a status with an empty body, as DELIVERY's table and the channel's own have it."""
    if status in channel.statuses:
        return channel.statuses[status]
    named = {401: "unauthorized", 403: "forbidden", 404: "unknown_destination", 410: "unknown_destination"}
    named |= {408: "try_later", 425: "try_later", 429: "rate_limited", 413: "too_large"}
    match status // 100:
        case 2:
            return "delivered", None
        case 3:
            return "failed", "redirected"
        case 5:
            never = channel.registry_entry["second_sending"] == "avoided"
            return ("ambiguous", "lost_reply") if never else ("failed", "server_error")
    return "failed", named.get(status, "rejected")


RETRIED = {"server_error": 2, "try_later": 2, "rate_limited": 1}
"""Attempts by reason, with :data:`FAST`: a 429 asks for more time than there is. All others: one."""

LONG_WAIT = {"Retry-After": "30"}


def limits(channel: ChannelSpec) -> dict[str, str]:
    """Arguments with which all retries end before the response."""
    return {**FAST, **({"delivery_timeout": "1s"} if channel.has_long_backoff else {})}


def check_attempts(channel: ChannelSpec, entry: dict[str, Any]) -> None:
    """As many as the reason allows."""
    assert entry["attempts"] == (1 if channel.has_long_backoff else RETRIED.get(entry["reason"], 1)), entry


@HTTP
def test_every_status_is_classified_as_the_table_says(
    channel: ChannelSpec, request_sender: RequestSender, standin: Standin
) -> None:
    numbers = {status: next(NUMBERS) for status in range(200, 600)}
    for status, number in numbers.items():
        expected = by_status(channel, status)
        headers = list(LONG_WAIT.items()) if expected[1] == "rate_limited" else []
        standin.rule(channel.path_of(number), reply={"status": status, "headers": headers})
    sent = request_sender.send([(channel, channel.at(standin, number)) for number in numbers.values()], limits(channel))
    for status, entry in zip(numbers, sent.entries, strict=True):
        assert (entry["outcome"], entry["reason"]) == by_status(channel, status), f"{status}: {entry}"
        assert entry["http_status"] == status
        check_attempts(channel, entry)
        assert (entry["hint"] is None) == (entry["outcome"] == "delivered")


def set_reply_of(standin: Standin, channel: ChannelSpec, number: int, reply: Reply, **rule: Any) -> None:
    """Order a reply for a destination."""
    body = {"body": reply.body} if isinstance(reply.body, str) else {"json": reply.body}
    headers = {**(LONG_WAIT if reply.reason == "rate_limited" else {}), **reply.headers}
    ordered = {"status": reply.status, "headers": list(headers.items()), **body}
    standin.rule(channel.path_of(number) + "*", reply=ordered, **rule)


@HTTP
def test_provider_errors_are_classified_as_the_specification_says(
    channel: ChannelSpec, request_sender: RequestSender, standin: Standin
) -> None:
    numbers = [next(NUMBERS) for _ in channel.replies]
    for reply, number in zip(channel.replies, numbers, strict=True):
        set_reply_of(standin, channel, number, reply)
    destinations = [(channel, channel.at(standin, number)) for number in numbers]
    sent = request_sender.send(destinations, limits(channel))
    for reply, entry in zip(channel.replies, sent.entries, strict=True):
        assert (entry["outcome"], entry["reason"]) == (reply.outcome, reply.reason), (reply, entry)
        assert entry["http_status"] == reply.status
        assert (reply.detail or "") in (entry["detail"] or ""), (reply, entry)
        assert reply.hint in (entry["hint"] or ""), (reply, entry)
        check_attempts(channel, entry)
    hints = [(entry["reason"], entry["hint"]) for entry in sent.entries if entry["outcome"] == "failed"]
    assert all(hint for _, hint in hints)
    # The destination is paused.
    again = request_sender.send(destinations, limits(channel))
    for reply, entry in zip(channel.replies, again.entries, strict=True):
        assert (entry["reason"] == "destination_disabled") == reply.pauses_destination, (reply, entry)


@HTTP
def test_a_temporary_failure_is_retried_until_delivery(
    channel: ChannelSpec, request_sender: RequestSender, standin: Standin
) -> None:
    number = next(NUMBERS)
    limited = by_status(channel, 429)[1] == "rate_limited"
    busy = Reply(429 if limited else 503, headers={"Retry-After": "0.05"})
    failures = 1 if channel.has_long_backoff else 2
    set_reply_of(standin, channel, number, busy, times=failures)
    limits = {**FAST, "delivery_timeout": "30s", "max_attempts": "10"}
    sent = request_sender.send([(channel, channel.at(standin, number))], limits)
    if sent.entry["outcome"] == "pending":
        sent.trigger.wait_for_log(": delivered in", timeout=30)
    else:
        assert (sent.entry["outcome"], sent.entry["attempts"]) == ("delivered", failures + 1), sent.entry
    assert len(standin.requests(channel.path_of(number))) == failures + 1


# The stand-in


@HTTP
def test_the_stand_in_rejects_the_same_requests_as_the_provider(channel: ChannelSpec, standin: Standin) -> None:
    path_of_number = channel.path_of_number or (lambda number: f"/at/{number}{channel.path}")
    for headers, body, status in channel.rejected_requests:
        url = standin.url + path_of_number(next(NUMBERS))
        got = http_request("POST", url, body=body, headers=headers)
        assert got.status == status, (headers, body, got.text)


# Bad input


@EVERY
def test_a_missing_required_field_is_named_with_an_example(
    channel: ChannelSpec, request_sender: RequestSender, standin: Standin
) -> None:
    for parameter in channel.request_parameters():
        if not parameter["required"]:
            continue
        name = parameter["name"]
        for absent in (..., None, "", "  "):
            configuration = {**channel.at(standin, next(NUMBERS)), name: absent}
            configuration = {
                key: value for key, value in configuration.items() if value is not ... and key != "base_url"
            }
            check_bad(channel, request_sender, configuration, name, [f"{name} is required", parameter["example"]])


ENCODED = {"twilio_sid", "twilio_token", "email_username", "email_password"}
"""They go as Basic authentication, so that nothing in them can break out."""


@EVERY
def test_a_malformed_field_is_named_with_an_example(
    channel: ChannelSpec, request_sender: RequestSender, standin: Standin
) -> None:
    for invalid_values in channel.invalid_values:
        configuration = {**channel.at(standin, next(NUMBERS)), invalid_values.field: invalid_values.value}
        configuration.pop("base_url", None)
        check_bad(channel, request_sender, configuration, invalid_values.field, [invalid_values.words])
    for parameter in channel.request_parameters():
        name = parameter["name"]
        if parameter["kind"] != "string" or name in ENCODED:
            continue
        for broken in ("\r\n", "\0"):
            value = parameter["example"]
            configuration = {
                **channel.at(standin, next(NUMBERS)),
                name: value[: len(value) // 2] + broken + value[len(value) // 2 :],
            }
            configuration.pop("base_url", None)
            check_bad(channel, request_sender, configuration, name, [name])
    assert standin.requests() == []


def check_bad(
    channel: ChannelSpec, request_sender: RequestSender, configuration: dict[str, Any], field: str, words: list[str]
) -> None:
    """Nothing is sent, and the error names the field and quotes nothing."""
    trigger = request_sender.trigger({})
    # A dry run, so that no real provider gets a message if the value is accepted.
    body = {"notification_text": "hi", "senders_config": {channel.sender: configuration}, "dry_run": True}
    [entry] = trigger.notify(json.dumps(body).encode()).json["deliveries"]
    assert (entry["outcome"], entry["reason"], entry["attempts"]) == ("failed", "invalid_config", 0), (field, entry)
    assert entry["path"].partition("[")[0] == f"senders_config.{channel.sender}.{field}"
    for word in words:
        assert word in entry["detail"], entry
    assert len(entry["detail"]) < 300


# Secrets


@HTTP
def test_a_secret_that_the_provider_echoes_is_not_shown(
    channel: ChannelSpec, request_sender: RequestSender, standin: Standin
) -> None:
    if channel.path_of_number:
        # Its requests arrive elsewhere; `tests/leaks` has it.
        return
    names = [one["name"] for one in channel.request_parameters() if one["secret"] and one["kind"] != HEADERS]
    assert set(channel.secrets) == set(names), "a value for each secret parameter"
    destinations, secrets = [], []
    for make, name in ((make, name) for name, make in channel.secrets.items()):
        for status in (400, 404, 500, channel.success.status):
            for echo in ECHOES.values():
                number = next(NUMBERS)
                value = make(number)
                configuration = channel.at(standin, number)
                url = str(configuration.get(name, ""))
                if url.startswith("http"):
                    # In place of the last parameter, which is a secret as a whole.
                    head, parameter, _ = url.rpartition("=")
                    configuration[name] = f"{head}={value}" if parameter else f"{url}/{value}"
                else:
                    configuration[name] = value
                text = echo(str(value))
                body = {"message": text, "error": text, "errors": [text], "description": text, "id": text, "name": text}
                standin.rule(f"/at/{number}/*", reply={"status": status, "json": {**body, "ok": False, "code": 20404}})
                destinations.append((channel, configuration))
                secrets.append(str(value))
    if not destinations:
        return
    sent = request_sender.send(destinations, limits(channel))
    shown = [sent.response.text, *(text for _, text in sent.trigger.log_lines())]
    views = ("status", "metrics", "alerts")
    shown += [sent.trigger.notify(b"", query={"view": view}, method="GET").text for view in views]
    assert {entry["http_status"] for entry in sent.entries} == {400, 404, 500, channel.success.status}
    for text in shown:
        for secret in secrets:
            assert secret not in text


HEADERS = "table of strings, or base64 of a JSON object of strings"


# One after another


@HTTP
def test_a_resolved_follows_up_on_the_firing_of_its_dedup_key(
    channel: ChannelSpec, request_sender: RequestSender, standin: Standin
) -> None:
    number = next(NUMBERS)
    destination = (channel, channel.at(standin, number))
    request_sender.send([destination], **FIRING, dedup_key="cpu db1")
    sent = request_sender.send([destination], **{**FIRING, "status": "resolved", "level": "ok"}, dedup_key="cpu db1")
    assert sent.entry["outcome"] == "delivered", sent.response.text
    requests = standin.requests(f"/at/{number}/" if not channel.path_of_number else channel.path_of(number))
    assert all((got["accepted"], got["problem"]) == (True, None) for got in requests), requests
    assert [request["method"] for request in requests] == list(channel.resolved)
    says = channel.registry_entry["resolved"] != "closes the incident"
    assert not says or "resolved" in requests[-1]["body"].lower()


# All of them


def test_one_request_reaches_every_channel(request_sender: RequestSender, standin: Standin) -> None:
    numbers = {name: next(NUMBERS) for name in REGISTRY}
    destinations = [(BY_SENDER[name], BY_SENDER[name].at(standin, number)) for name, number in numbers.items()]
    for request in ({"notification_text": "hi"}, FIRING):
        sent = request_sender.send(destinations, **request)
        assert [(entry["sender"], entry["outcome"]) for entry in sent.entries] == [
            (name, "delivered") for name in REGISTRY
        ], sent.response.text
        assert sent.response.json["status"] == "success"
    for name, number in numbers.items():
        assert len(received(standin, BY_SENDER[name], number)) == 2, name


def test_no_connection_is_opened_before_a_channels_first_use(
    request_sender: RequestSender, standin: Standin, tmp_path: Path
) -> None:
    destinations = [(channel, channel.at(standin, next(NUMBERS))) for channel in BY_SENDER.values()]
    before = connections(standin)
    shown = request_sender.send(destinations, dry_run=True)
    assert {entry["outcome"] for entry in shown.entries} == {"dry_run"}
    assert connections(standin) == before + 1, "the one that asks"


def connections(standin: Standin) -> int:
    """The number of requests at the stand-in, including this one."""
    return int(http_request("GET", f"{standin.url}/_standin/health").json["connections"])
