"""Fields that only a configuration file may set: their effect on requests, and their rejection in a request."""

import base64
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from standardwebhooks import Webhook

from tests.contract.case import HOST, Case, delivered, delivers, delivers_to, run_case, write_config
from tests.contract.provider_requests import (
    DISCORD,
    HTTP,
    SLACK,
    TWILIO,
    ProviderRequest,
    to_discord,
    to_http,
    to_slack,
    to_twilio,
)
from tests.faults.proxy import TunnelProxy
from tests.harness import Standin, Triggers, encode_headers

HI = {"notification_text": "hi", "receivers": ["r"]}
PATHS = {"slack": "/services/T0/B0/r", "discord": "/api/webhooks/123456789012345678/r", "http": "/hook/r"}
FORM = b"To=%2B15558675310&From=%2B15017122661"
ANY_BODY = {"path": "/hook/*", "any_content_type": True}


def receiver(sender: str, fields: str, *, before: str = "") -> str:
    """A file with the receiver ``r``, which has one destination with these fields besides the required ones."""
    if sender in PATHS:
        required = f'webhook_url = "http://{HOST}{PATHS[sender]}"\n'
    else:
        required = f'sid = "{TWILIO["twilio_sid"]}"\ntoken = "twilio-secret"\nto_number = "+15558675310"\n'
        required += "" if "messaging_service_sid" in fields else 'from_number = "+15017122661"\n'
    return f"{before}\n[receivers.r.{sender}]\n{required}{fields}\n"


def row(
    field: str, sender: str, fields: str, sent: ProviderRequest, *, body: object = HI, before: str = "", **members: Any
) -> Case:
    """A row in which one field shows on the wire."""
    return delivers_to(f"{field} of {sender}", body, receiver(sender, fields, before=before), ("r", sent), **members)


def http(body: str | bytes = "hi", **headers: str) -> ProviderRequest:
    return to_http(body, PATHS["http"], **headers)


def basic(pair: str) -> str:
    return re.escape("Basic " + base64.b64encode(pair.encode()).decode())


SHORT = '[templates.short]\ntext = "{{ notification.text | upper }}!"\n'
CONTENT = [delivered("whatsapp", receiver="r", segments=None)]
TO_WHATSAPP = b"To=whatsapp%3A%2B15558675310&From=whatsapp%3A%2B15017122661"

ROWS = [
    row("method", "http", 'method = "PUT"', replace(http(), method="PUT")),
    row("method", "http", 'method = " patch "', replace(http(), method="PATCH")),
    row(
        "body_template",
        "http",
        "body_template = '{\"alert\": {{ notification.text | tojson }}}'",
        http(b'{"alert": "hi"}'),
    ),
    row(
        "content_type",
        "http",
        'content_type = "text/plain; charset=utf-8"\nbody_template = "{{ notification.text }}"',
        http(b"hi", content_type="text/plain; charset=utf-8"),
        rule=ANY_BODY,
    ),
    row(
        "content_type",
        "http",
        'content_type = "application/vnd.api+json"',
        http(content_type=r"application/vnd.api\+json"),
    ),
    row("headers", "http", 'headers = { X-Team = "ops" }', http(x_team="ops")),
    row("headers", "http", f'headers = "{encode_headers({"X-Team": "ops"})}"', http(x_team="ops")),
    row("headers", "slack", 'headers = { X-Team = "ops" }', to_slack("hi", PATHS["slack"], x_team="ops")),
    row("headers", "discord", 'headers = { X-Team = "ops" }', to_discord("hi", PATHS["discord"], x_team="ops")),
    row(
        "basic_auth",
        "http",
        'basic_auth = { username = "me", password = "pass word" }',
        http(authorization=basic("me:pass word")),
    ),
    row("bearer_token", "http", 'bearer_token = "a.b-c"', http(authorization="Bearer a.b-c")),
    row(
        "headers, which win over bearer_token,",
        "http",
        'bearer_token = "a"\nheaders = { Authorization = "Bearer mine" }',
        http(authorization="Bearer mine"),
    ),
    row(
        "allow_mentions",
        "slack",
        "allow_mentions = false",
        to_slack("&lt;!here&gt;", PATHS["slack"]),
        body=HI | {"notification_text": "<!here>"},
    ),
    row(
        "allow_mentions",
        "discord",
        "allow_mentions = false",
        to_discord(b'{"content":"@here","allowed_mentions":{"parse":[]}}', PATHS["discord"]),
        body=HI | {"notification_text": "@here"},
    ),
    row(
        "allow_mentions, which wins over the trigger's,",
        "slack",
        "allow_mentions = true",
        to_slack("<!here>", PATHS["slack"]),
        body=HI | {"notification_text": "<!here>"},
        args={"allow_mentions": "false"},
    ),
    *(
        row("template", sender, 'template = "short"', sent, before=SHORT)
        for sender, sent in [
            ("slack", to_slack("HI!", PATHS["slack"])),
            ("discord", to_discord("HI!", PATHS["discord"])),
            ("http", http("HI!")),
            ("sms", to_twilio(FORM + b"&Body=HI%21")),
            ("whatsapp", to_twilio(TO_WHATSAPP + b"&Body=HI%21", "whatsapp")),
        ]
    ),
    row(
        "template and body_template",
        "http",
        'template = "short"\nbody_template = \'{"message": {{ notification.text | tojson }}}\'',
        http(b'{"message": "HI!"}'),
        before=SHORT,
    ),
    row(
        "messaging_service_sid",
        "sms",
        'messaging_service_sid = "MG0123456789abcdef0123456789abcdef"',
        to_twilio(b"To=%2B15558675310&MessagingServiceSid=MG0123456789abcdef0123456789abcdef&Body=hi"),
    ),
    row(
        "messaging_service_sid beside a number",
        "sms",
        'from_number = "+15017122661"\nmessaging_service_sid = "MG0123456789abcdef0123456789abcdef"',
        to_twilio(FORM + b"&MessagingServiceSid=MG0123456789abcdef0123456789abcdef&Body=hi"),
    ),
    row("smart_encoding", "sms", "smart_encoding = true", to_twilio(FORM + b"&Body=hi&SmartEncoded=true")),
    row("smart_encoding", "whatsapp", "smart_encoding = false", to_twilio(TO_WHATSAPP + b"&Body=hi", "whatsapp")),
    row(
        "content_sid",
        "whatsapp",
        'content_sid = "HX0123456789abcdef0123456789abcdef"',
        to_twilio(TO_WHATSAPP + b"&ContentSid=HX0123456789abcdef0123456789abcdef", "whatsapp"),
        deliveries=CONTENT,
    ),
    row(
        "content_variables",
        "whatsapp",
        'content_sid = "HX0123456789abcdef0123456789abcdef"\n'
        'content_variables = { 1 = "{{ notification.text | upper }}", 2 = "{{ notification.fields.host }}" }',
        to_twilio(
            TO_WHATSAPP + b"&ContentSid=HX0123456789abcdef0123456789abcdef"
            b"&ContentVariables=%7B%221%22%3A%22HI%22%2C%222%22%3A%22db%5C%221%22%7D",
            "whatsapp",
        ),
        body=HI | {"fields": {"host": 'db"1'}},
        deliveries=CONTENT,
    ),
    row(
        "content_variables with line breaks, tabs and nothing in them, as Twilio takes them,",
        "whatsapp",
        'content_sid = "HX0123456789abcdef0123456789abcdef"\n'
        'content_variables = { 1 = "{{ notification.text }}", 2 = "{{ notification.title }}" }',
        to_twilio(
            TO_WHATSAPP + b"&ContentSid=HX0123456789abcdef0123456789abcdef"
            b"&ContentVariables=%7B%221%22%3A%22one+two+three%22%2C%222%22%3A%22-%22%7D",
            "whatsapp",
        ),
        body=HI | {"notification_text": "one\n\ntwo\t     three\r\n"},
        deliveries=CONTENT,
    ),
    row(
        "content_variables that are too long together, cut with a warning,",
        "whatsapp",
        'content_sid = "HX0123456789abcdef0123456789abcdef"\n'
        'content_variables = { 1 = "{{ notification.text }}", 2 = "end" }',
        to_twilio(
            TO_WHATSAPP + b"&ContentSid=HX0123456789abcdef0123456789abcdef"
            b"&ContentVariables=%7B%221%22%3A%22" + b"x" * 1_020 + b"%E2%80%A6%22%2C%222%22%3A%22end%22%7D",
            "whatsapp",
        ),
        body=HI | {"notification_text": "x" * 1_022},
        deliveries=CONTENT,
        warnings=["receivers.r: content_variables.1: too long for one message; cut"],
    ),
]


@pytest.mark.parametrize("case", ROWS, ids=str)
def test_a_field_of_the_file_is_on_the_wire(case: Case, triggers: Triggers, standin: Standin) -> None:
    run_case(case, triggers, standin)


# Cases that need more than one request


NUMBERS = """\
[receivers.r]
sms = {{ sid = "{sid}", token = 123456, from_number = +15017122661, to_number = 15558675310 }}
[receivers.r.telegram]
bot_token = "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"
chat_id = -1001234567890
thread_id = 7
base_url = "http://{host}"
[receivers.r.http]
webhook_url = "http://{host}/hook/r"
headers = {{ X-Shard = 3 }}
basic_auth = {{ username = "a", password = 42 }}
"""


def test_a_number_is_accepted_where_a_string_is_expected(triggers: Triggers, standin: Standin) -> None:
    response = send(triggers, standin, NUMBERS.format(sid=TWILIO["twilio_sid"], host=HOST))
    assert response["results"] == {"r": True}, response
    assert response["warnings"] == []
    sms, telegram, http = sorted(standin.requests(), key=lambda request: "/2010 /bot /hook".index(request["path"][:4]))
    assert sms["body"] == "To=%2B15558675310&From=%2B15017122661&Body=hi"
    assert headers(sms)["authorization"].endswith(base64.b64encode(f"{TWILIO['twilio_sid']}:123456".encode()).decode())
    message = json.loads(telegram["body"])
    assert (message["chat_id"], message["message_thread_id"]) == (-1001234567890, 7)
    assert headers(http)["x-shard"] == "3"
    assert headers(http)["authorization"] == "Basic " + base64.b64encode(b"a:42").decode()


def send(triggers: Triggers, standin: Standin, config: str, body: object = HI, **arguments: str) -> Any:
    """Send a request to a new trigger with that file."""
    address = f"127.0.0.1:{standin.port}"
    file = write_config(triggers.engine.plugin_dir, config.replace(HOST, address))
    arguments = {"twilio_base_url": standin.url, "config_file_path": str(file), **arguments}
    return triggers.create(arguments).notify(body).json


def headers(request: Mapping[str, Any]) -> dict[str, str]:
    return {name.lower(): value for name, value in request["headers"]}


def test_the_reference_implementation_verifies_a_signature_with_each_of_two_keys(
    triggers: Triggers, standin: Standin
) -> None:
    keys = ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_" + base64.b64encode(b"another key of 24 bytes!").decode()]
    response = send(triggers, standin, receiver("http", f"signing_secret = {json.dumps(keys)}"))
    assert response["results"] == {"r": True}
    [request] = standin.requests()
    for key in keys:
        assert Webhook(key).verify(request["body"], headers(request)) == {"message": "hi"}
    assert headers(request)["webhook-id"] == headers(request)["idempotency-key"]


@pytest.mark.parametrize("prefix", ["whsec_", "v1,whsec_", "v1,", ""])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_a_key_in_every_spelling_signs_as_the_reference_implementation_does(
    prefix: str, encode: Callable[[bytes], bytes], triggers: Triggers, standin: Standin
) -> None:
    key = bytes.fromhex("fbffbf49690c") * 5
    secret = prefix + encode(key).decode()
    response = send(triggers, standin, receiver("http", f'signing_secret = "{secret}"'))
    assert response["results"] == {"r": True}
    [request] = standin.requests()
    Webhook("whsec_" + base64.b64encode(key).decode()).verify(request["body"], headers(request))


def test_a_retry_is_signed_again_with_the_same_id(triggers: Triggers, standin: Standin) -> None:
    key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    standin.rule("/hook/*", reply={"status": 503, "body": ""}, times=1)
    response = send(triggers, standin, receiver("http", f'signing_secret = "{key}"'), initial_backoff="10ms")
    assert response["results"] == {"r": True}
    requests = standin.requests()
    assert len(requests) == 2
    for request in requests:
        Webhook(key).verify(request["body"], headers(request))
    assert len({headers(request)["webhook-id"] for request in requests}) == 1


OK = "success = '~\"ok\": ?true'"
LOGIN = "<!DOCTYPE html>\n<html><head><title>Log in</title></head><body>token-of-the-page</body></html>"
HTML = [["content-type", "text/html; charset=utf-8"]]


@pytest.mark.parametrize(
    ("success", "body", "outcome"),
    [
        (OK, '{"ok":true}', "delivered"),
        (OK, '{"id": 1, "ok": true}', "delivered"),
        (OK, '{"ok":false}', "failed"),
        (OK, "", "failed"),
        (OK, LOGIN, "failed"),
        ('success = "accepted"', " accepted\n", "delivered"),
        ('success = "accepted"', "not accepted", "failed"),
        ('success = "~Log in"', LOGIN, "delivered"),
        ('success = ""', LOGIN, "delivered"),
        # The missing text may follow after the read bytes.
        (OK, "x" * 70_000, "ambiguous"),
        (OK, '{"ok":true}' + "x" * 70_000, "delivered"),
    ],
)
def test_the_file_defines_a_success(
    success: str, body: str, outcome: str, triggers: Triggers, standin: Standin
) -> None:
    standin.rule("/hook/*", reply={"status": 200, "body": body, "headers": HTML})
    response = send(triggers, standin, receiver("http", success))
    [entry] = response["deliveries"]
    assert (entry["outcome"], entry["attempts"], entry["http_status"]) == (outcome, 1, 200)
    reasons = {"delivered": None, "failed": "rejected", "ambiguous": "lost_reply"}
    assert entry.get("reason") == reasons[outcome]
    assert ("`success`" in (entry.get("hint") or "")) == (outcome != "delivered")
    assert response["warnings"] == [] or success == 'success = ""'


def test_a_success_that_does_not_match_is_not_sent_again(triggers: Triggers, standin: Standin) -> None:
    standin.rule("/hook/*", reply={"status": 200, "body": '{"ok": false, "why": "no such team"}'})
    response = send(triggers, standin, receiver("http", OK), initial_backoff="10ms")
    [entry] = response["deliveries"]
    assert (entry["outcome"], entry["reason"]) == ("failed", "rejected")
    assert entry["detail"] == 'the receiver: {"ok": false, "why": "no such team"}'
    assert len(standin.requests()) == 1


@pytest.mark.parametrize(
    ("sender", "fields", "body", "warned"),
    [
        ("http", "", LOGIN, True),
        ("http", "", "<p>Welcome", True),
        ("discord", "", LOGIN, True),
        # A short text is not a web page, even with the content type of one.
        ("http", "", "ok", False),
        ("http", "", '{"html": "<html>"}', False),
        ("http", "", "", False),
        ("slack", "", "ok", False),
        ("http", 'content_type = "text/plain"\nbody_template = "x"', LOGIN, False),
    ],
)
def test_a_web_page_as_reply_gets_a_warning(
    sender: str, fields: str, body: str, warned: bool, triggers: Triggers, standin: Standin
) -> None:
    path = PATHS[sender].rsplit("/", 1)[0] + "/*"
    reply = {"status": 200, "body": body, "headers": HTML}
    standin.rule(path, reply=reply, any_content_type=True)
    response = send(triggers, standin, receiver(sender, fields))
    assert response["results"] == {"r": True}
    words = ": answered 2xx with a web page (text/html), and counts as delivered; check"
    assert [words in line for line in response["warnings"]] == [True] * warned
    assert "token-of-the-page" not in json.dumps(response)


def test_an_invalid_regular_expression_for_success_is_refused(triggers: Triggers, standin: Standin) -> None:
    for expression in ("~(", "~(?:a{1000}){1000}"):
        response = send(triggers, standin, receiver("http", f'success = "{expression}"'))
        assert "success has a regular expression after ~ that cannot be read, or is too large" in response["message"]


@pytest.mark.parametrize("sender", ["slack", "discord", "http"])
def test_a_receiver_can_have_its_own_proxy_with_a_password(sender: str, triggers: Triggers, standin: Standin) -> None:
    """The stand-in is the proxy."""
    proxy = standin.url.replace("http://", "http://me:pass%20word@")
    config = receiver(sender, f'proxy = "{proxy}"').replace(HOST, "elsewhere.invalid")
    response = send(triggers, standin, config)
    assert response["results"] == {"r": True}, response
    [request] = standin.requests()
    assert headers(request)["host"] == "elsewhere.invalid"
    assert headers(request)["proxy-authorization"] == "Basic " + base64.b64encode(b"me:pass word").decode()


def test_twilio_uses_the_receivers_proxy(triggers: Triggers, standin: Standin) -> None:
    with TunnelProxy(standin.port) as proxy:
        config = receiver("sms", f'proxy = "http://127.0.0.1:{proxy.port}"')
        response = send(triggers, standin, config, twilio_base_url="https://api.invalid", max_attempts="1")
        # The stand-in has no TLS here. The CONNECT request is sufficient.
        assert response["results"] == {"r": False}
        assert proxy.heads[0].startswith("CONNECT api.invalid:443 ")


def test_a_rate_limit_applies_to_one_destination(triggers: Triggers, standin: Standin) -> None:
    config = receiver("http", 'rate_limit = "1/h"') + f'[receivers.s.http]\nwebhook_url = "http://{HOST}/hook/s"\n'
    address = f"127.0.0.1:{standin.port}"
    file = write_config(triggers.engine.plugin_dir, config.replace(HOST, address))
    trigger = triggers.create({"config_file_path": str(file), "delivery_timeout": "1s"})
    both = {"receivers": ["r", "s"]}
    first = trigger.notify({"notification_text": "1", **both}).json
    second = trigger.notify({"notification_text": "2", **both}).json
    assert first["results"] == {"r": True, "s": True}
    assert second["results"] == {"r": "pending", "s": True}
    assert "rate_limited" in trigger.wait_for_log("failed after")
    assert [message["text"] for message in standin.messages()].count("2") == 1


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """An authority that nothing trusts by itself."""
    return trustme.CA()


def pem(directory: Path, name: str, *blobs: trustme.Blob) -> str:
    (directory / name).write_bytes(b"".join(blob.bytes() for blob in blobs))
    return name


CLIENTS = {
    "the authority and the client's certificate": (["ca", "client"], True),
    "the authority alone": (["ca"], False),
    "the client's certificate alone": (["client"], False),
    "neither": ([], False),
}


@pytest.mark.parametrize(("files", "delivered"), CLIENTS.values(), ids=CLIENTS)
def test_a_private_authority_and_a_client_certificate_work_together(
    files: list[str], delivered: bool, authority: trustme.CA, triggers: Triggers, standin: Standin, tmp_path: Path
) -> None:
    server = authority.issue_cert("localhost")
    chain = b"".join(blob.bytes() for blob in server.cert_chain_pems)
    url = standin.tls(chain, server.private_key_pem.bytes(), authority.cert_pem.bytes())["url"]
    client = authority.issue_cert("notifier@example.com")
    # Relative paths begin where the file is.
    directory = triggers.engine.plugin_dir
    fields = {
        "ca": f'ca_file = "{pem(directory, "ca.pem", authority.cert_pem)}"\n',
        "client": f'client_certificate = "{pem(directory, "me.pem", client.private_key_and_cert_chain_pem)}"\n',
    }
    config = f'[receivers.r.http]\nwebhook_url = "{url}/hook/r"\n' + "".join(fields[name] for name in files)
    timeouts = {"connect_timeout": "2s", "attempt_timeout": "2s", "max_attempts": "1", "response_timeout": "4s"}
    response = send(triggers, standin, config, **timeouts)
    assert response["results"] == {"r": delivered}, response
    assert len(standin.requests()) == int(delivered)
    if not delivered:
        [entry] = response["deliveries"]
        assert entry["reason"] in ("tls", "connect", "connection_lost"), entry


def test_a_byte_order_mark_before_pem_is_ignored_with_a_warning(
    authority: trustme.CA, triggers: Triggers, standin: Standin
) -> None:
    server = authority.issue_cert("localhost")
    chain = b"".join(blob.bytes() for blob in server.cert_chain_pems)
    url = standin.tls(chain, server.private_key_pem.bytes(), authority.cert_pem.bytes())["url"]
    client = authority.issue_cert("notifier@example.com").private_key_and_cert_chain_pem
    directory, mark = triggers.engine.plugin_dir, trustme.Blob(b"\xef\xbb\xbf")
    files = f'ca_file = "{pem(directory, "marked-ca.pem", mark, authority.cert_pem)}"\n'
    files += f'client_certificate = "{pem(directory, "marked-me.pem", mark, client)}"\n'
    response = send(triggers, standin, f'[receivers.r.http]\nwebhook_url = "{url}/hook/r"\n{files}')
    assert response["results"] == {"r": True}, response
    words = [warning.partition(": the file ")[2] for warning in response["warnings"]]
    what = "begins with a byte order mark, which is left out"
    assert sorted(words) == [f"marked-ca.pem {what}", f"marked-me.pem {what}"]


def self_signed(name: str, *, since: int, until: int) -> tuple[bytes, bytes]:
    """A certificate as ``openssl req -x509`` makes it: an authority that signs itself; days from now. And its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now + timedelta(days=since)).not_valid_after(now + timedelta(days=until))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    certificate = builder.sign(key, hashes.SHA256())
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return certificate.public_bytes(Encoding.PEM), private


@pytest.mark.parametrize(
    ("name", "since", "until", "trusts", "delivered"),
    [
        ("localhost", -1, 9, "the server's own", True),
        ("localhost", -1, 9, "another of the same name", False),
        ("localhost", -9, -1, "the server's own", False),
        ("localhost", 1, 9, "the server's own", False),
        ("elsewhere.example", -1, 9, "the server's own", False),
    ],
    ids=["its own", "another", "expired", "not yet valid", "another name"],
)
def test_a_self_signed_certificate_in_ca_file_is_trusted_for_its_dates_and_name(
    name: str, since: int, until: int, trusts: str, delivered: bool, triggers: Triggers, standin: Standin
) -> None:
    certificate, key = self_signed(name, since=since, until=until)
    trusted = certificate if trusts == "the server's own" else self_signed(name, since=since, until=until)[0]
    (triggers.engine.plugin_dir / "own.pem").write_bytes(trusted)
    url = standin.tls(certificate, key)["url"]
    config = f'[receivers.r.http]\nwebhook_url = "{url}/hook/r"\nca_file = "own.pem"\n'
    response = send(triggers, standin, config, max_attempts="1", response_timeout="4s")
    assert response["results"] == {"r": delivered}, response
    if not delivered:
        assert response["deliveries"][0]["reason"] == "tls", response


# Requests may not

WEBHOOKS = {"slack": SLACK, "discord": DISCORD, "http": HTTP}


def only_the_file(sender: str, *names: str) -> list[str]:
    return [f"senders_config.{sender}.{name}: only the configuration file may set it; ignored" for name in names]


HTTP_ONLY = {
    "method": "PUT",
    "body_template": "x",
    "content_type": "text/plain",
    "success": "ok",
    "basic_auth": {"username": "a", "password": "b"},
    "bearer_token": "x",
    "ca_file": "/etc/passwd",
    "client_certificate": "/etc/passwd",
    "signing_secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
}
TWILIO_ONLY = {
    "messaging_service_sid": "MG0123456789abcdef0123456789abcdef",
    "smart_encoding": True,
}
OPTIONS = {"template": "short", "rate_limit": "1/h", "allow_mentions": False, "proxy": "http://127.0.0.1:9"}

REQUESTS = [
    delivers(
        "http",
        {"notification_text": "hi", "senders_config": {"http": HTTP | HTTP_ONLY}},
        to_http("hi"),
        warnings=only_the_file("http", *HTTP_ONLY),
    ),
    delivers(
        "http, with its name before them",
        {
            "notification_text": "hi",
            "senders_config": {"http": HTTP | {f"http_{name}": v for name, v in HTTP_ONLY.items()}},
        },
        to_http("hi"),
        warnings=only_the_file("http", *(f"http_{name}" for name in HTTP_ONLY)),
    ),
    delivers(
        "sms",
        {"notification_text": "hi", "senders_config": {"sms": TWILIO | TWILIO_ONLY}},
        to_twilio(FORM + b"&Body=hi"),
        warnings=only_the_file("sms", *TWILIO_ONLY),
    ),
    *(
        delivers(
            f"options of {sender}",
            {"notification_text": "<!here>", "senders_config": {sender: configuration | OPTIONS}},
            {"slack": to_slack, "discord": to_discord, "http": to_http}[sender]("<!here>"),
            warnings=only_the_file(sender, *OPTIONS),
        )
        for sender, configuration in WEBHOOKS.items()
    ),
]


@pytest.mark.parametrize("case", REQUESTS, ids=str)
def test_in_a_request_it_is_ignored_with_a_warning(case: Case, triggers: Triggers, standin: Standin) -> None:
    run_case(case, triggers, standin)


@pytest.mark.parametrize("form", [{"env": "HOME"}, {"file": "/etc/hostname"}])
def test_references_to_secrets_work_only_in_the_file(form: object, triggers: Triggers, standin: Standin) -> None:
    config = receiver("http", 'template = "short"', before=SHORT)
    body = HI | {"senders_config": {"slack": {"slack_webhook_url": form}}, "data": {"x": form}, "fields": {"y": form}}
    response = send(triggers, standin, config, body)
    assert response["results"] == {"slack": False, "r": True}
    assert response["deliveries"][0]["detail"] == "slack_webhook_url must be a string, found an object"
    assert [message["text"] for message in standin.messages()] == ["HI!"]
