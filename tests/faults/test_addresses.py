"""Denied addresses, end to end. Rust tests cover names with a fake resolver."""

import base64
import json

import pytest

from tests.faults.isolation import MARK, IsolationCheck, best_of_three

METADATA = [
    "169.254.169.254",
    "2852039166",
    "0xa9fea9fe",
    "0251.0376.0251.0376",
    "[::ffff:169.254.169.254]",
    "[64:ff9b::a9fe:a9fe]",
    "[2002:a9fe:a9fe::1]",
    "[2001:0:1:1:0:0:5601:5601]",
    "[fd00:ec2::254]",
    "metadata.google.internal",
]
PRIVATE = [
    "127.0.0.1",
    "2130706433",
    "0x7f.1",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "[fd12::1]",
    "0.0.0.0",  # noqa: S104
    "255.255.255.255",
    "224.0.0.1",
    "[::1]",
    "[::ffff:127.0.0.1]",
]


@best_of_three
def test_metadata_and_link_local_addresses_are_denied_always(isolation: IsolationCheck) -> None:
    hostile = [{"http_webhook_url": f"http://{host}/latest/{MARK}"} for host in METADATA]
    result = isolation.check({"http": hostile}, private_addresses="allow")
    for host, entry in zip(METADATA, result.entries, strict=True):
        assert (entry["outcome"], entry["reason"]) == ("failed", "address_denied"), host
        assert "always denied" in entry["detail"], host
        assert entry["elapsed_ms"] < 100, "before a connection"


@best_of_three
def test_private_addresses_are_denied_when_the_operator_says_so(isolation: IsolationCheck) -> None:
    """Without ``holds``: where private addresses are denied no destination on loopback works."""
    trigger = isolation.triggers.create({"private_addresses": "deny", "response_timeout": "1s"})
    hostile = [{"http_webhook_url": f"http://{host}:{isolation.standin.port}/hook/{MARK}"} for host in PRIVATE]
    response = trigger.notify({"notification_text": "x", "senders_config": {"http": hostile}})
    assert response.json["results"] == {"http": False}
    for host, entry in zip(PRIVATE, response.json["deliveries"], strict=True):
        assert (entry["outcome"], entry["reason"]) == ("failed", "address_denied"), f"{host}: {entry}"
        assert entry["detail"].startswith("the host is at ")
        assert entry["detail"].endswith("which private_addresses=deny forbids")
        assert "private_addresses" in entry["hint"]
    assert isolation.standin.requests() == []
    isolation.check_no_secret_shown(trigger, response)


def test_a_connection_that_one_policy_opened_is_not_used_under_another(isolation: IsolationCheck) -> None:
    body = {
        "notification_text": "x",
        "senders_config": {"http": {"http_webhook_url": f"{isolation.standin.url}/hook/pool"}},
    }
    allowed = isolation.triggers.create({"private_addresses": "allow"})
    denied = isolation.triggers.create({"private_addresses": "deny"})
    for _ in range(2):
        assert allowed.notify(body).json["results"] == {"http": True}
    assert len({request["connection"] for request in isolation.standin.requests("/hook/pool")}) == 1, "it was kept"
    response = denied.notify(body)
    assert response.json["deliveries"][0]["reason"] == "address_denied"
    assert len(isolation.standin.requests("/hook/pool")) == 2


NO_URL = {
    "file:///etc/passwd": "has a scheme other than http and https",
    "ftp://files.example/x": "has a scheme other than http and https",
    "javascript://alert/x": "has a scheme other than http and https",
    "data:text/plain,x": "has no scheme",
    "hooks.example/x": "has no scheme",
    "//hooks.example/x": "has no scheme",
    "http://": "has no host",
    "http:///etc/passwd": "has no host",
    "https://\\evil.example": "has no host",
    "http://hooks.example:99999/": "has a port that is no number up to 65535",
    "http://hooks.example/\r\nX-Evil: 1": "holds a control character",
    "http://hooks.example/\0": "holds a control character",
    "http://a b.example/": "has a host that is not valid",
    "http://xn--a.example/": "has a host that is not valid",
    "http://a\u202eb.example/": "has a host that is not valid",
    "http://[fe80::1%25eth0]/": "has a host that is not valid",
    "http://[::1/": "has a host that is not valid",
    "http://0x1ffffffff/": "has a host that is not valid",
    "http://hooks.example/" + "x" * 100_000: f"is longer than 8 KiB: found {100_021 + len(MARK) + 1} bytes",
}


@best_of_three
def test_an_invalid_url_is_that_senders_failure(isolation: IsolationCheck) -> None:
    result = isolation.check({"http": [{"http_webhook_url": f"{url}#{MARK}"} for url in NO_URL]})
    for n, (url, sentence) in enumerate(NO_URL.items()):
        entry = result.entries[n]
        assert (entry["outcome"], entry["reason"], entry["attempts"]) == ("failed", "invalid_config", 0), (
            f"{url[:50]!r}"
        )
        assert entry["path"] == f"senders_config.http[{n}].http_webhook_url"
        assert entry["detail"].startswith(f"http_webhook_url {sentence}"), f"{url[:50]!r}: {entry['detail']}"


@best_of_three
def test_user_and_password_of_a_url_become_basic_auth(isolation: IsolationCheck) -> None:
    url = isolation.standin.url.replace("://", f"://us%20er:{MARK}%3A%2F@")
    result = isolation.check({"http": {"http_webhook_url": f"{url}/hook/userinfo"}})
    assert result.entry["outcome"] == "delivered"
    (arrived,) = isolation.standin.requests("/hook/userinfo")
    sent = {name.lower(): value for name, value in arrived["headers"]}
    assert sent["authorization"] == "Basic " + base64.b64encode(f"us er:{MARK}:/".encode()).decode()
    assert "@" not in sent["host"]


@best_of_three
def test_near_misses_of_allowed_hosts_are_denied(isolation: IsolationCheck) -> None:
    near = [
        "hooks.slack.com.evil.example",
        "xhooks.slack.com",
        "evil.example",
        "example.com",
        "example.com.",
        "xexample.com",
        "127.0.0.2",
        "hooks.slack.com@evil.example",
        "evil.example#hooks.slack.com",
        "evil.example?.example.com",
        "[::ffff:7f00:1]",
    ]
    hostile = [{"http_webhook_url": f"http://{host}/{MARK}"} for host in near]
    result = isolation.check({"http": hostile}, allowed_hosts="127.0.0.1 hooks.slack.com *.example.com")
    for host, entry in zip(near, result.entries, strict=True):
        assert (entry["outcome"], entry["reason"], entry["attempts"]) == ("failed", "address_denied", 0), host
        assert entry["detail"] == "the host is not one of allowed_hosts"


@best_of_three
def test_a_host_header_is_judged_by_allowed_hosts(isolation: IsolationCheck) -> None:
    """The server at an allowed address may have other hosts, which only this header tells apart."""

    def named(host: str) -> dict[str, str]:
        headers = base64.b64encode(json.dumps({"Host": host}).encode()).decode()
        return {"http_webhook_url": f"{isolation.standin.url}/hook/{MARK}", "http_headers": headers}

    allowed = ["127.0.0.1", "A.Example.COM", "a.example.com.:8080", "127.1:80"]
    denied = ["evil.example", "example.com", "a.example.com.evil.example", "127.0.0.2", "localhost", "[::1]:80"]
    result = isolation.check(
        {"http": [named(host) for host in [*allowed, *denied]]}, allowed_hosts="127.0.0.1 *.example.com"
    )
    entries = result.entries
    assert [entry["outcome"] for entry in entries[: len(allowed)]] == ["delivered"] * len(allowed)
    for host, entry in zip(denied, entries[len(allowed) :], strict=True):
        assert (entry["outcome"], entry["reason"], entry["attempts"]) == ("failed", "address_denied", 0), host
        assert entry["detail"] == "the Host header names none of allowed_hosts"
    # Without such a policy any host may be named but a metadata service's.
    result = isolation.check(
        {"http": [named("virtual.example"), named("metadata.google.internal"), named("169.254.169.254")]}
    )
    assert [entry["reason"] for entry in result.entries] == [None, "address_denied", "address_denied"]


def test_other_spellings_of_an_allowed_host_are_allowed(isolation: IsolationCheck) -> None:
    """Send a dry run, which has the same checks, because the hosts belong to others."""
    same = [
        "hooks.slack.com",
        "HOOKS.Slack.com",
        "hooks.slack.com.",
        "hooks.slack.com:8443",
        "ｈooks.slack.com",
        "a.example.com",
        "a.b.EXAMPLE.com.",
        "bücher.example",
        "xn--bcher-kva.example",
        "127.1",
        "2130706433",
    ]
    trigger = isolation.triggers.create(
        {"allowed_hosts": "Hooks.slack.com. *.Example.com Bücher.example 0x7f000001", "dry_run": "true"}
    )
    senders = {"http": [{"http_webhook_url": f"https://{host}/x"} for host in same]}
    response = trigger.notify({"notification_text": "x", "senders_config": senders})
    outcomes = [entry["outcome"] for entry in response.json["deliveries"]]
    assert dict(zip(same, outcomes, strict=True)) == dict.fromkeys(same, "dry_run")


@pytest.mark.parametrize("argument", ["private_addresses=deny", "allowed_hosts=hooks.slack.com"])
def test_the_address_policy_for_requests_does_not_apply_to_the_operators_twilio_address(
    isolation: IsolationCheck, argument: str
) -> None:
    name, _, value = argument.partition("=")
    trigger = isolation.triggers.create({name: value, "twilio_base_url": isolation.standin.url})
    senders = {sender: isolation.working_destination(sender) for sender in ("http", "sms", "whatsapp")}
    response = trigger.notify({"notification_text": "x", "senders_config": senders})
    assert response.json["results"] == {"http": False, "sms": True, "whatsapp": True}, response.text
    assert response.json["deliveries"][0]["reason"] == "address_denied"
    assert len(isolation.standin.requests("/2010-04-01")) == 2
    assert isolation.standin.requests("/hook") == []


def test_metadata_addresses_are_denied_for_twilio_too(isolation: IsolationCheck) -> None:
    trigger = isolation.triggers.create({"twilio_base_url": "http://169.254.169.254", "private_addresses": "allow"})
    response = trigger.notify(
        {"notification_text": "x", "senders_config": {"sms": isolation.working_destination("sms")}}
    )
    (entry,) = response.json["deliveries"]
    assert (entry["outcome"], entry["reason"]) == ("failed", "address_denied")
    assert entry["detail"] == "the host is a cloud metadata service, which is always denied"
