"""Common behaviour with the official Python plugin, and intended differences: docs/migration.md."""

import json
from base64 import b64encode
from typing import Any
from urllib.parse import parse_qs

import pytest

from tests import harness
from tests.harness import Notify, Standin, Triggers

ACCOUNT = "AC" + "0" * 32
TWILIO = {
    "twilio_sid": ACCOUNT,
    "twilio_token": "0" * 32,
    "twilio_from_number": "+15017122661",
    "twilio_to_number": "+15558675310",
}
TEXT = 'CPU "97 %" – größer als 😀 </>'


def senders(standin: Standin, *names: str) -> dict[str, Any]:
    every = {
        "slack": {"slack_webhook_url": f"{standin.url}/services/T0/B0/X0"},
        "discord": {"discord_webhook_url": f"{standin.url}/api/webhooks/1/abc"},
        "http": {"http_webhook_url": f"{standin.url}/hook/a"},
        "sms": TWILIO,
        "whatsapp": TWILIO,
    }
    return {name: every[name] for name in names or every}


def arguments(standin: Standin, **more: str) -> dict[str, str]:
    return {"twilio_base_url": standin.url} | more


def sent(standin: Standin, path: str = "") -> list[str]:
    return [request["body"] for request in standin.requests(path)]


def header(request: dict[str, Any], name: str) -> str:
    (value,) = [value for known, value in request["headers"] if known.lower() == name.lower()]
    return str(value)


# The same


def test_payloads_are_those_of_the_python_plugin_byte_for_byte(notify: Notify, standin: Standin) -> None:
    body = {"notification_text": TEXT, "senders_config": senders(standin)}
    response = notify(body, args=arguments(standin)).json
    assert response["results"] == dict.fromkeys(senders(standin), True)
    text = json.dumps(TEXT, ensure_ascii=False)
    assert sent(standin, "/services/") == [f'{{"text":{text}}}']
    assert sent(standin, "/api/webhooks/") == [f'{{"content":{text}}}']
    assert sent(standin, "/hook/") == [f'{{"message":{text}}}']
    forms = sorted(list(parse_qs(form).items()) for form in sent(standin, "/2010-04-01/"))
    assert forms == [
        [("To", ["+15558675310"]), ("From", ["+15017122661"]), ("Body", [TEXT])],
        [("To", ["whatsapp:+15558675310"]), ("From", ["whatsapp:+15017122661"]), ("Body", [TEXT])],
    ]


def test_no_sender_is_a_success_and_an_unknown_one_is_invalid(notify: Notify) -> None:
    nothing = notify({"notification_text": "x", "senders_config": {}})
    assert (nothing.status, nothing.json["status"], nothing.json["results"]) == (200, "success", {})
    unknown = notify({"notification_text": "x", "senders_config": {"pager": {}}})
    assert (unknown.status, unknown.json["results"]) == (200, {"pager": "Invalid sender"})
    assert unknown.json["message"] == "Request processed"


# Different


def test_a_channel_that_hangs_delays_no_other(notify: Notify, standin: Standin) -> None:
    standin.rule("/services/*", hang=True)
    body = {"notification_text": "x", "senders_config": senders(standin)}
    response = notify(body, args=arguments(standin, response_timeout="300ms", delivery_timeout="1s"))
    assert response.elapsed < 1
    assert response.json["results"] == dict.fromkeys(senders(standin), True) | {"slack": "pending"}
    assert response.json["status"] == "pending"
    assert len(standin.messages()) == 4


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "No request body provided."),
        (b"{", "Invalid JSON in request body."),
        (b"[]", "Invalid JSON in request body."),
        (b'{"notification_text": "x"}', "Missing required fields: 'senders_config' or 'notification_text'."),
        (b'{"senders_config": {}}', "Missing required fields: 'senders_config' or 'notification_text'."),
        (b'{"notification_text": "x", "senders_config": []}', "The field senders_config must be"),
    ],
)
def test_a_request_that_cannot_be_read_is_400_with_results(notify: Notify, body: bytes, message: str) -> None:
    response = notify(body)
    assert response.status == 400
    assert response.json["results"] == {}
    assert response.json["message"].startswith(message)
    assert response.json["error"]["hint"]


@pytest.mark.parametrize("value", ["text", 5, None, True, [], [[]]])
def test_only_the_sender_that_is_no_object_fails(notify: Notify, standin: Standin, value: object) -> None:
    body = {"notification_text": "x", "senders_config": {"slack": value, **senders(standin, "http")}}
    response = notify(body)
    assert (response.status, response.json["results"]) == (200, {"slack": False, "http": True})
    failed = response.json["deliveries"][0]
    assert failed["reason"] == "invalid_config"
    assert failed["path"].startswith("senders_config.slack")


def test_a_list_means_several_destinations(notify: Notify, standin: Standin) -> None:
    urls = [f"{standin.url}/hook/{name}" for name in "abc"]
    body = {"notification_text": "x", "senders_config": {"http": [{"http_webhook_url": url} for url in urls]}}
    assert notify(body).json["results"] == {"http": True}
    assert sorted(request["path"] for request in standin.requests()) == ["/hook/a", "/hook/b", "/hook/c"]


def test_a_requests_twilio_credentials_win_over_the_environments(
    notify: Notify, standin: Standin, monkeypatch: pytest.MonkeyPatch
) -> None:
    if harness.real_server_program():
        pytest.skip("the environment of a real server is its own")
    monkeypatch.setenv("TWILIO_SID", "AC" + "9" * 32)
    monkeypatch.setenv("TWILIO_TOKEN", "9" * 32)
    both = notify({"notification_text": "x", "senders_config": {"sms": TWILIO}}, args=arguments(standin))
    assert both.json["results"] == {"sms": True}
    numbers = {name: value for name, value in TWILIO.items() if "number" in name}
    notify({"notification_text": "x", "senders_config": {"sms": numbers}}, args=arguments(standin))
    accounts = [request["path"].split("/")[3] for request in standin.requests("/2010-04-01/")]
    assert accounts == [ACCOUNT, "AC" + "9" * 32]


def test_the_whatsapp_prefix_is_never_doubled(notify: Notify, standin: Standin) -> None:
    numbers = {name: f"whatsapp:{TWILIO[name]}" for name in ("twilio_from_number", "twilio_to_number")}
    notify({"notification_text": "x", "senders_config": {"whatsapp": TWILIO | numbers}}, args=arguments(standin))
    (form,) = sent(standin, "/2010-04-01/")
    assert (parse_qs(form)["To"], parse_qs(form)["From"]) == (["whatsapp:+15558675310"], ["whatsapp:+15017122661"])


@pytest.mark.parametrize(("sender", "limit"), [("discord", 2000), ("sms", 1600)])
def test_a_text_that_is_too_long_is_split(notify: Notify, standin: Standin, sender: str, limit: int) -> None:
    text = "word " * 700
    response = notify({"notification_text": text, "senders_config": senders(standin, sender)}, args=arguments(standin))
    assert response.json["results"] == {sender: True}
    parts = [message["text"] for message in standin.messages()]
    assert len(parts) == response.json["deliveries"][0]["parts"] > 1
    assert all(len(part) <= limit for part in parts)
    # Discord trims each message.
    assert " ".join(part.partition(") ")[2] for part in parts).split() == text.split()


@pytest.mark.parametrize("value", [None, [], {}, "", "  "])
def test_only_http_passes_on_values_that_are_no_text(notify: Notify, standin: Standin, value: object) -> None:
    body = {"notification_text": value, "senders_config": senders(standin)}
    response = notify(body, args=arguments(standin)).json
    assert response["results"] == dict.fromkeys(senders(standin), False) | {"http": True}
    reasons = {entry["reason"] for entry in response["deliveries"] if entry["sender"] != "http"}
    assert reasons == {"invalid_text"}
    assert [json.loads(body) for body in sent(standin)] == [{"message": value}]


def test_a_number_is_sent_as_its_text(notify: Notify, standin: Standin) -> None:
    notify({"notification_text": 97, "senders_config": senders(standin, "slack", "discord", "http")})
    bodies = {key: value for body in sent(standin) for key, value in json.loads(body).items()}
    assert bodies == {"text": "97", "content": "97", "message": 97}


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity", b"1e999"])
def test_nan_and_infinite_numbers_are_text(notify: Notify, standin: Standin, number: bytes) -> None:
    request = json.dumps({"notification_text": "TEXT", "senders_config": senders(standin, "slack", "http")})
    response = notify(request.replace('"TEXT"', number.decode()).encode())
    assert (response.status, response.json["results"]) == (200, {"slack": True, "http": True})
    bodies = {key: value for body in sent(standin) for key, value in json.loads(body).items()}
    assert bodies == {"text": number.decode(), "message": number.decode()}
    assert "taken as text" in response.json["warnings"][0]


def test_a_body_over_one_mebibyte_is_400(notify: Notify) -> None:
    frame = {"notification_text": "", "senders_config": {}}
    room = 1_048_576 - len(json.dumps(frame))
    assert notify(frame | {"notification_text": "x" * room}).status == 200
    assert notify(frame | {"notification_text": "x" * (room + 1)}).status == 400


def test_discord_is_asked_to_say_whether_the_message_was_saved(notify: Notify, standin: Standin) -> None:
    url = f"{standin.url}/api/webhooks/1/abc?thread_id=5&wait=false"
    notify({"notification_text": "x", "senders_config": {"discord": {"discord_webhook_url": url}}})
    (request,) = standin.requests()
    assert parse_qs(request["query"]) == {"thread_id": ["5"], "wait": ["true"]}


def test_the_user_agent_says_who_sends(notify: Notify, standin: Standin) -> None:
    notify({"notification_text": "x", "senders_config": senders(standin)}, args=arguments(standin))
    for request in standin.requests():
        agent = header(request, "User-Agent")
        assert agent.startswith("DiscordBot (" if "webhooks" in request["path"] else "influxdb3-notifier/"), request


def test_http_webhooks_receive_an_idempotency_key(notify: Notify, standin: Standin) -> None:
    standin.rule("/hook/*", reply={"status": 500}, times=1)
    body = {"notification_text": "x", "senders_config": senders(standin, "http")}
    notify(body, args=arguments(standin, initial_backoff="10ms"))
    first, second = standin.wait_for("/hook/", 2)
    keys = [header(each, "Idempotency-Key") for each in (first, second)]
    assert keys[0] == keys[1]
    assert len(keys[0]) == 32


def test_a_header_with_a_value_that_is_no_string_is_dropped(notify: Notify, standin: Standin) -> None:
    headers = b64encode(json.dumps({"X-Number": 0.5, "X-Text": "5"}).encode()).decode()
    configuration = senders(standin, "http")["http"] | {"http_headers": headers}
    response = notify({"notification_text": "x", "senders_config": {"http": configuration}}).json
    assert (response["results"], len(response["warnings"])) == ({"http": True}, 1)
    (request,) = standin.requests()
    names = [name.lower() for name, _ in request["headers"]]
    assert ("x-text" in names, "x-number" in names) == (True, False)


def test_log_lines_begin_with_notifier_and_the_task_id(triggers: Triggers, standin: Standin) -> None:
    trigger = triggers.create()
    response = trigger.notify({"notification_text": "x", "senders_config": senders(standin, "slack", "http")}).json
    lines = [text for _, text in trigger.log_lines()]
    assert len(lines) == 3
    assert all(line.startswith(f"notifier [{response['task_id']}] ") for line in lines)
