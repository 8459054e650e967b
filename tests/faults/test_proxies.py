"""Proxies of the environment, end to end. Rust tests cover names with a fake resolver."""

import base64
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.faults.isolation import FAST, MARK, IsolationCheck
from tests.faults.proxy import TunnelProxy
from tests.harness import ProcessEngine, Standin, Triggers

CREDENTIALS = f"proxy-user:{MARK}"
BASIC = "Basic " + base64.b64encode(CREDENTIALS.encode()).decode()

VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")

SLOWER = {"connect_timeout": "1s", "attempt_timeout": "1s"}
"""A TLS handshake in a debug build on a busy machine takes its time."""

Behind = Callable[..., IsolationCheck]


@pytest.fixture
def behind(tmp_path: Path, standin: Standin) -> Iterator[Behind]:
    """``behind(HTTP_PROXY=…)``: an isolation check on an engine with these variables and no other proxy settings."""
    with ExitStack() as stack:

        def behind(**environment: str) -> IsolationCheck:
            # The lower-case names win.
            clean = {name: "" for variable in VARIABLES for name in (variable, variable.lower())}
            engine = stack.enter_context(ProcessEngine(tmp_path, environment=clean | environment))
            return IsolationCheck(Triggers(engine, stack), standin)

        yield behind


def header(request: Mapping[str, Any], name: str) -> str | None:
    """The value of a header of a request at the stand-in."""
    return next((value for known, value in request["headers"] if known.lower() == name), None)


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_http_uses_the_proxy_with_credentials_except_for_hosts_of_no_proxy(
    behind: Behind, standin: Standin, variable: str
) -> None:
    """The stand-in is the proxy."""
    proxy = standin.url.replace("http://", f"http://{CREDENTIALS}@")
    isolation = behind(**{variable: proxy, "NO_PROXY": "127.0.0.1"})
    result = isolation.check({"http": {"http_webhook_url": f"http://elsewhere.invalid/hook/by-proxy-{MARK}"}})
    assert result.entry["outcome"] == "delivered"
    (by_proxy,) = standin.requests("/hook/by-proxy")
    assert header(by_proxy, "host") == "elsewhere.invalid"
    assert header(by_proxy, "proxy-authorization") == BASIC
    others = [request for request in standin.requests() if request != by_proxy]
    assert len(others) > 5
    assert all(header(request, "proxy-authorization") is None for request in others)


def tunnelled(standin: Standin, tmp_path: Path, name: str) -> tuple[int, str]:
    """The port of the stand-in behind a certificate for this name, and its authority's file."""
    authority = trustme.CA()
    leaf = authority.issue_cert(name)
    chain = b"".join(pem.bytes() for pem in leaf.cert_chain_pems)
    port = standin.tls(chain, leaf.private_key_pem.bytes())["port"]
    (tmp_path / "ca.pem").write_bytes(authority.cert_pem.bytes())
    return port, str(tmp_path / "ca.pem")


def test_https_uses_an_encrypted_tunnel(behind: Behind, standin: Standin, tmp_path: Path) -> None:
    port, trusted = tunnelled(standin, tmp_path, "elsewhere.invalid")
    with TunnelProxy(port) as proxy:
        isolation = behind(HTTPS_PROXY=f"http://{CREDENTIALS}@127.0.0.1:{proxy.port}", SSL_CERT_FILE=trusted)
        result = isolation.check(
            {"http": {"http_webhook_url": f"https://elsewhere.invalid/hook/tunnel-{MARK}"}}, **SLOWER
        )
        assert result.entry["outcome"] == "delivered", result.entry
        (head,) = proxy.heads
    assert head.startswith("CONNECT elsewhere.invalid:443 HTTP/1.1\r\n")
    assert f"proxy-authorization: {BASIC}".lower() in head.lower()
    assert "tunnel" not in head
    (arrived,) = standin.requests("/hook/tunnel")
    assert arrived["tls"] is True
    assert header(arrived, "proxy-authorization") is None


def test_the_certificate_behind_a_tunnel_is_the_destinations(behind: Behind, standin: Standin, tmp_path: Path) -> None:
    port, trusted = tunnelled(standin, tmp_path, "other.invalid")
    with TunnelProxy(port) as proxy:
        isolation = behind(HTTPS_PROXY=f"http://127.0.0.1:{proxy.port}", SSL_CERT_FILE=trusted)
        result = isolation.check({"http": {"http_webhook_url": f"https://elsewhere.invalid/hook/{MARK}"}}, **SLOWER)
    assert (result.entry["reason"], result.entry["detail"]) == ("tls", "the server's certificate is for another name")


REFUSED: list[tuple[str, str, str, str]] = [
    ("http://169.254.169.254/latest", "allow", "address_denied", "a cloud metadata service, which is always denied"),
    ("http://2852039166/latest", "allow", "address_denied", "a cloud metadata service, which is always denied"),
    ("http://metadata.google.internal/", "allow", "address_denied", "a cloud metadata service, which is always denied"),
    ("http://10.1.2.3/", "deny", "address_denied", "which private_addresses=deny forbids"),
    ("http://localhost/", "deny", "address_denied", "a loopback address, which private_addresses=deny forbids"),
]


def test_the_address_policy_applies_before_the_proxy_is_used(behind: Behind, standin: Standin) -> None:
    isolation = behind(HTTP_PROXY=standin.url)
    for policy in ("allow", "deny"):
        rows = [row for row in REFUSED if row[1] == policy]
        trigger = isolation.triggers.create({**FAST, "private_addresses": policy})
        senders = {"http": [{"http_webhook_url": url + MARK} for url, *_ in rows]}
        response = trigger.notify({"notification_text": "x", "senders_config": senders})
        for (url, _, reason, sentence), entry in zip(rows, response.json["deliveries"], strict=True):
            assert (entry["outcome"], entry["reason"]) == ("failed", reason), f"{url}: {entry}"
            assert sentence in entry["detail"], f"{url}: {entry}"
        isolation.check_no_secret_shown(trigger, response)
    assert standin.requests() == []


UNUSABLE = [
    (f"socks5://{CREDENTIALS}@127.0.0.1:1080", "proxy", "names a SOCKS proxy, which is not supported"),
    (f"ftp://{CREDENTIALS}@127.0.0.1:1", "proxy", "is no URL such as http://proxy.example:3128"),
    (
        f"http://{CREDENTIALS}@127.0.0.1:9",
        "connect",
        "the proxy that the environment names: the connection was refused",
    ),
    (f"http://{CREDENTIALS}@169.254.169.254", "address_denied", "the proxy that the environment names: the host is a"),
]


@pytest.mark.parametrize(("proxy", "reason", "sentence"), UNUSABLE)
def test_an_unusable_proxy_is_named_and_never_bypassed(
    behind: Behind, standin: Standin, proxy: str, reason: str, sentence: str
) -> None:
    isolation = behind(HTTP_PROXY=proxy, NO_PROXY="127.0.0.1")
    url = standin.url.replace("127.0.0.1", "localhost")
    result = isolation.check({"http": {"http_webhook_url": f"{url}/hook/around-{MARK}"}})
    assert (result.entry["outcome"], result.entry["reason"]) == ("failed", reason), result.entry
    assert sentence in result.entry["detail"]
    assert result.entry["hint"]
    assert standin.requests("/hook/around") == []


def test_wrong_proxy_credentials_are_reported_without_showing_them(behind: Behind, standin: Standin) -> None:
    proxy = standin.url.replace("http://", f"http://{CREDENTIALS}@")
    page = f"<h1>407</h1> you sent Proxy-Authorization: {BASIC}, which is {CREDENTIALS}"
    standin.rule("/hook/407*", reply={"status": 407, "body": page})
    isolation = behind(HTTP_PROXY=proxy, NO_PROXY="127.0.0.1")
    result = isolation.check({"http": {"http_webhook_url": "http://elsewhere.invalid/hook/407"}})
    assert (result.entry["outcome"], result.entry["reason"]) == ("failed", "rejected")
    assert "HTTP_PROXY" in result.entry["hint"]
    assert BASIC.split()[1] not in result.response.text


def test_a_proxy_that_does_not_reply_is_named(behind: Behind, standin: Standin) -> None:
    isolation = behind(HTTPS_PROXY=standin.fault("silent")["url"])
    result = isolation.check({"http": {"http_webhook_url": f"https://elsewhere.invalid/{MARK}"}})
    assert (result.entry["outcome"], result.entry["reason"]) == ("failed", "timeout")
    assert result.entry["detail"] == "no connection was made through the proxy in time"


def test_a_proxy_that_refuses_the_tunnel_is_named(behind: Behind) -> None:
    with TunnelProxy(0, status="407 Proxy Authentication Required") as tunnel:
        isolation = behind(HTTPS_PROXY=f"http://{CREDENTIALS}@127.0.0.1:{tunnel.port}")
        result = isolation.check({"http": {"http_webhook_url": f"https://elsewhere.invalid/{MARK}"}})
    assert (result.entry["outcome"], result.entry["reason"]) == ("failed", "proxy")
    assert result.entry["detail"] == "the proxy made no connection to the host"
