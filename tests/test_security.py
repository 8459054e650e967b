"""Promises of SECURITY.md that belong to no single fault."""

import base64

import pytest

from tests import harness
from tests.conftest import Notify, Triggers
from tests.harness import Standin

SECRETS = {
    "path": "s3cretPathOfTheWebhook",
    "query": "s3cretQueryOfTheUrl",
    "password": "s3cretPasswordOfTheUrl",
    "header": "s3cretValueOfAHeader",
    "token": "s3cretTokenOfTwilio",
    "number": "+15005559876",
}


def test_headers_of_the_connection_and_with_line_breaks_are_dropped(notify: Notify, standin: Standin) -> None:
    framing = ["Content-Length", "transfer-encoding", "Connection", "Keep-Alive", "Upgrade", "TE", "Trailer", "Expect"]
    given = dict.fromkeys([*framing, "Proxy-Authorization"], "1")
    given |= {"X-Lines": "a\r\nX-Smuggled: 1", "Bad Name": "1", "X-Kept": "kept"}
    configuration = {"http_webhook_url": f"{standin.url}/hook/headers", "http_headers": harness.encode_headers(given)}
    answer = notify({"notification_text": "x", "senders_config": {"http": configuration}}).json
    assert answer["results"] == {"http": True}
    dropped = [name for name in given if any(f"`{name}`" in warning for warning in answer["warnings"])]
    assert dropped == [name for name in given if name != "X-Kept"]
    (arrived,) = standin.requests("/hook/headers")
    sent = {name.lower(): value for name, value in arrived["headers"]}
    assert sent["x-kept"] == "kept"
    assert sent["content-length"] == str(len('{"message":"x"}'))
    assert not set(sent) & {"x-lines", "x-smuggled", "proxy-authorization", "transfer-encoding", "upgrade", "te"}


@pytest.mark.parametrize("status", [404, 500])
def test_no_secret_of_a_request_is_shown_when_it_fails(triggers: Triggers, standin: Standin, status: int) -> None:
    # Each provider echoes what it was given.
    of_twilio = " ".join([SECRETS["token"], SECRETS["number"]])
    of_webhooks = " ".join([SECRETS[name] for name in ("path", "query", "password", "header")])
    standin.rule("/2010-04-01/*", reply={"status": status, "body": of_twilio})
    standin.rule("*", reply={"status": status, "body": of_webhooks})
    trigger = triggers.create(
        {"twilio_base_url": standin.url, "max_attempts": "2", "initial_backoff": "10ms", "max_backoff": "10ms"}
    )
    address = standin.url.removeprefix("http://")
    url = f"http://user:{SECRETS['password']}@{address}/hook/{SECRETS['path']}?key={SECRETS['query']}"
    headers = harness.encode_headers({"X-Api-Key": SECRETS["header"], "Authorization": f"Bearer {SECRETS['header']}"})
    twilio = {"twilio_sid": "AC" + "0" * 32, "twilio_token": SECRETS["token"], "twilio_from_number": SECRETS["number"]}
    senders: dict[str, object] = {
        name: {f"{name}_webhook_url": url, f"{name}_headers": headers} for name in ("slack", "discord", "http")
    }
    senders |= {name: twilio | {"twilio_to_number": SECRETS["number"]} for name in ("sms", "whatsapp")}
    answer = trigger.notify({"notification_text": "x", "senders_config": senders})
    shown = [answer.text, *(text for _, text in trigger.log_lines())]
    shown += [trigger.notify(b"", query={"view": view}, method="GET").text for view in ("status", "metrics")]
    assert len(answer.json["deliveries"]) == len(senders)
    everything = "\n".join(shown)
    forms = [*SECRETS.values(), SECRETS["number"].removeprefix("+"), headers]
    forms.append(base64.b64encode(f"user:{SECRETS['password']}".encode()).decode())
    assert [secret for secret in forms if secret in everything] == []
