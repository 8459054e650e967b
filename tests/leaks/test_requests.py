"""No output shows a secret of a request or of the server's environment."""

import base64
import itertools
import json
import re
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.cli.program import run
from tests.harness import ProcessEngine, Standin, Triggers, encode_headers, eventually
from tests.leaks.echoes import ECHOES
from tests.leaks.outputs import FAST, Outputs
from tests.leaks.places import MAILS, PLACES, mail
from tests.leaks.secrets import new_secret, new_word


class Echoing:
    """A request with secrets in every location. The stand-in echoes each in every encoding."""

    def __init__(self, standin: Standin, status: int, message: Callable[[str], object]) -> None:
        self.senders: dict[str, list[dict[str, str]]] = {}
        self.secrets: dict[str, str] = {}
        for place, (name, echo) in itertools.product(PLACES, ECHOES.items()):
            secret = place.make()
            configuration = place.plant(secret, f"{standin.url}/")
            self.secrets[f"{place.name}, {name}"] = secret
            self.senders.setdefault(place.sender, []).append(configuration)
            reply = message(echo(secret))
            body = reply if isinstance(reply, str) else json.dumps(reply)
            standin.rule(path_of(place.sender, configuration), reply={"status": status, "body": body})

    def __len__(self) -> int:
        return len(self.secrets)


def path_of(sender: str, configuration: Mapping[str, str]) -> str:
    """The decoded path at the stand-in."""
    if sender in ("sms", "whatsapp"):
        account = configuration.get("twilio_account_sid") or configuration["twilio_sid"]
        return f"/2010-04-01/Accounts/{account}/Messages.json"
    return "/" + configuration[f"{sender}_webhook_url"].split("/", 3)[3].partition("?")[0]


MESSAGES: dict[str, Callable[[str], object]] = {
    "text": lambda echo: f"nothing here knows {echo}",
    "JSON": lambda echo: {"message": echo, "code": 20404, "more_info": echo},
    "a name": lambda echo: {"id": echo, "sid": echo, "ok": True, "status": "queued"},
    "a form's errors": lambda echo: {
        "message": "Invalid",
        "code": 50035,
        "errors": {echo: {"_errors": [{"message": echo}]}},
    },
}


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("status", "message"), [(400, "text"), (404, "JSON"), (500, "text"), (200, "a name"), (400, "a form's errors")]
)
def test_a_secret_that_the_provider_echoes_is_not_shown(
    standin: Standin, engine: ProcessEngine, own_triggers: Triggers, status: int, message: str
) -> None:
    request = Echoing(standin, status, MESSAGES[message])
    body = {"notification_text": "the text is no secret", "senders_config": request.senders}
    outputs = Outputs()
    trigger = own_triggers.create({**FAST, "twilio_base_url": standin.url})
    response = trigger.notify(body, headers={"X-Api-Key": new_word()})
    deliveries = response.json["deliveries"]
    assert len(deliveries) == len(request)
    assert {entry["http_status"] for entry in deliveries} == {status}, "each has seen its echo"
    if status != 200:
        shown = [entry["detail"] for entry in deliveries if entry["detail"] != "Twilio 50035: Invalid"]
        assert all("***" in detail for detail in shown), "it is masked, not left out"
    outputs.add("answer", response.text)
    outputs.of(trigger, engine)
    outputs.show_none(request.secrets | {"the caller's token": str(engine.token)})


def test_no_secret_is_shown_in_background_lines_or_by_a_dry_run(
    standin: Standin, engine: ProcessEngine, own_triggers: Triggers
) -> None:
    request = Echoing(standin, 500, MESSAGES["text"])
    body = {"notification_text": "x", "senders_config": request.senders}
    outputs = Outputs()
    # The lookup after a lost reply of Twilio also gets echoes.
    arguments = {"response_timeout": "0s", "delivery_timeout": "2500ms"}
    late = own_triggers.create({**FAST, "twilio_base_url": standin.url, **arguments})
    outputs.add("answer", late.notify(body).text)

    def ends() -> int:
        return sum("failed after" in text or "ambiguous after" in text for _, text in late.log_lines())

    eventually(lambda: ends() == len(request), "every delivery's end is logged", timeout=30)
    outputs.of(late, engine)
    dry = own_triggers.create({**FAST, "twilio_base_url": standin.url, "dry_run": "true"})
    response = dry.notify(body)
    assert {entry["outcome"] for entry in response.json["deliveries"]} == {"dry_run"}
    outputs.add("preview", response.text)
    outputs.of(dry, engine)
    outputs.show_none(request.secrets)


def test_no_stored_secret_is_shown(
    standin: Standin, engine: ProcessEngine, own_triggers: Triggers, tmp_path: Path
) -> None:
    request = Echoing(standin, 500, MESSAGES["text"])
    (tmp_path / "key").write_text(key := new_word() + new_word())
    outbox, config = tmp_path / "outbox.db", tmp_path / "n.toml"
    config.write_text(f'[settings]\noutbox = "{outbox}"\noutbox_key = {{ file = "key" }}\n')
    trigger = own_triggers.create({**FAST, "twilio_base_url": standin.url, "config_file_path": str(config)})
    response = trigger.notify({"notification_text": "x", "senders_config": request.senders})
    assert len(response.json["deliveries"]) == len(request)
    outputs = Outputs()
    outputs.add("answer", response.text)
    outputs.of(trigger, engine)
    task = response.json["task_id"]
    for verb, *options in (["list", "--limit", "1000"], ["list", "--format", "json"], ["show", task], ["stats"]):
        shown = run("outbox", verb, outbox, *options)
        assert shown.status == 0, shown.err
        assert verb == "stats" or task in shown.out
        outputs.add(f"outbox {verb}", shown.out + shown.err)
    for file in tmp_path.glob("outbox.db*"):
        outputs.add(f"file {file.name}", file.read_bytes().decode("latin-1"))
    outputs.show_none(request.secrets | {"outbox_key": key})


FAULTS = ["refuse", "reset", "close", "silent", "malformed_status", "huge_header", "http09", "plain_text"]


def test_no_secret_of_a_failing_destination_is_shown(
    standin: Standin, engine: ProcessEngine, own_triggers: Triggers
) -> None:
    """The libraries' error texts of such connections contain the URL."""
    outputs, secrets = Outputs(), {}
    for fault in FAULTS:
        base = standin.fault(fault)["url"]
        if fault == "plain_text":
            base = base.replace("http:", "https:")
        senders: dict[str, list[dict[str, str]]] = {}
        for place in PLACES + MAILS:
            secrets[f"{place.sender}, {place.name}, {fault}"] = secret = place.make()
            senders.setdefault(place.sender, []).append(place.plant(secret, base))
        trigger = own_triggers.create(
            {**FAST, "twilio_base_url": base, "attempt_timeout": "300ms", "on_ambiguous": "report"}
        )
        response = trigger.notify({"notification_text": "x", "senders_config": senders})
        outcomes = {entry["outcome"] for entry in response.json["deliveries"]}
        assert outcomes <= {"failed", "ambiguous"}, f"{fault}: {outcomes}"
        outputs.add(f"answer of {fault}", response.text)
        outputs.of(trigger, engine)
    outputs.show_none(secrets)


def test_no_secret_for_a_denied_address_is_shown(
    standin: Standin, engine: ProcessEngine, own_triggers: Triggers
) -> None:
    outputs, secrets = Outputs(), {}
    for arguments in ({"private_addresses": "deny"}, {"allowed_hosts": "hooks.slack.com"}):
        senders: dict[str, list[dict[str, str]]] = {}
        for place in PLACES + MAILS:
            if place.sender not in ("sms", "whatsapp"):
                secrets[f"{place.sender}, {place.name}, {arguments}"] = secret = place.make()
                senders.setdefault(place.sender, []).append(place.plant(secret, f"{standin.url}/"))
        trigger = own_triggers.create({**FAST, **arguments})
        response = trigger.notify({"notification_text": "x", "senders_config": senders})
        assert {entry["reason"] for entry in response.json["deliveries"]} == {"address_denied"}
        outputs.add("answer", response.text)
        outputs.of(trigger, engine)
    outputs.show_none(secrets)


def test_no_secret_of_the_environment_is_shown(
    standin: Standin, environment: dict[str, str], engine: ProcessEngine, own_triggers: Triggers
) -> None:
    outputs = Outputs()
    trigger = own_triggers.create({**FAST, "twilio_base_url": standin.url})
    numbers = {"twilio_from_number": "+15017122661", "twilio_to_number": "+15558675310"}
    for echo in ECHOES.values():
        standin.clear()
        twilio = " ".join(echo(environment[name]) for name in ("sid", "token"))
        standin.rule("/2010-04-01/*", reply={"status": 400, "json": {"message": twilio, "code": 20003}})
        credentials = base64.b64encode(f"user:{environment['proxy']}".encode()).decode()
        for path, text in (("/hook/a", environment["proxy"]), ("/hook/b", credentials)):
            standin.rule(path, reply={"status": 407, "body": f"you sent {echo(text)} to this proxy"})
        http = [{"http_webhook_url": f"http://elsewhere.invalid/hook/{name}"} for name in "ab"]
        response = trigger.notify({"notification_text": "x", "senders_config": {"sms": numbers, "http": http}})
        assert [entry["http_status"] for entry in response.json["deliveries"]] == [400, 407, 407], response.text
        outputs.add("answer", response.text)
    outputs.of(trigger, engine)
    outputs.show_none({f"environment's {name}": secret for name, secret in environment.items()})


def bad_requests(secret: str) -> list[bytes]:
    """Requests with an error or a warning about a secret value."""
    quoted = json.dumps(secret)
    configurations: list[object] = [
        secret,
        [secret],
        [[secret]],
        {"http_webhook_url": secret},
        {"http_webhook_url": f"ftp://host/{secret}"},
        {"http_webhook_url": f"http://ho st/{secret}"},
        {"http_webhook_url": f"http://host:99999/{quote(secret)}"},
        {"http_webhook_url": [f"http://host/{secret}"]},
        {"http_webhook_url": f"http://host/{secret}\r\n"},
        {"http_webhook_url": "http://127.0.0.1:9/", "http_headers": secret},
        {"http_webhook_url": "http://127.0.0.1:9/", "http_headers": {"X-Key": secret}},
        {"http_webhook_url": "http://127.0.0.1:9/", "http_headers": base64.b64encode(secret.encode()).decode()},
        {
            "http_webhook_url": "http://127.0.0.1:9/",
            "http_headers": encode_headers({"X-Key": f"{secret}\n", "A B": secret}),
        },
        {"http_webhook_url": "http://127.0.0.1:9/", "webhook": secret, "http_webhook_ur": secret},
    ]
    twilio = {"twilio_sid": "AC0", "twilio_token": "t", "twilio_from_number": "+1", "twilio_to_number": "+1"}
    numbers: list[object] = [
        twilio | {"twilio_sid": f"AC/{secret}"},
        twilio | {"twilio_sid": "SK1", "twilio_account_sid": secret},
        twilio | {"twilio_to_number": f"{secret}\n"},
        twilio | {"twilio_to_number": secret * 4},
        twilio | {"twilio_to_number": [secret], "twilio_token": {"a": secret}},
    ]
    mails: list[dict[str, Any]] = [
        mail("http://127.0.0.1:9", **{f"email_{field}": value})
        for field in ("host", "from", "to", "cc", "bcc", "reply_to", "hello", "port", "tls", "username", "password")
        for value in (secret, f"{secret}\n", f"<{secret}", f"{secret}, {secret}@example.com")
    ]
    mails += [
        {"email_password": secret, "email_pasword": secret},
        mail("http://127.0.0.1:9") | {"email_to": [[secret]]},
    ]
    text = '{"notification_text": "x", "senders_config": '
    return [
        b"",
        secret.encode(),
        quoted.encode(),
        f"[{quoted}]".encode(),
        f'{{"notification_text": {quoted}'.encode(),
        f'{{"notification_text": "x", {quoted}'.encode(),
        f'{{"notification_text": "\\q{secret}"}}'.encode(),
        f'{{"notification_text": "x", "a": {secret}}}'.encode(),
        b'{"notification_text": "' + secret.encode() + b'\xff"}',
        f'{{"senders_config": {{"http": {{"http_webhook_url": {quoted}}}}}}}'.encode(),
        f"{text}{quoted}}}".encode(),
        f'{text}{{}}, "dry_run": {quoted}}}'.encode(),
        f'{text}{{}}, "receivers": {quoted}}}'.encode(),
        f'{text}{{}}, "idempotency_key": {quoted}}}'.encode(),
        f'{text}{{}}, "dedup_key": [{quoted}], "title": {{"a": {quoted}}}, "fields": {quoted}}}'.encode(),
        f'{text}{{"slack": {{"slack_webhook_url": {quoted}, "slack_webhook_url": {quoted}}}}}}}'.encode(),
        *(
            json.dumps({"notification_text": "x", "senders_config": {sender: configuration}}).encode()
            for sender, all_of_it in (
                ("http", configurations),
                ("sms", numbers),
                ("email", mails),
                ("carrier", configurations[:4]),
            )
            for configuration in all_of_it
        ),
    ]


def test_no_error_and_no_warning_quotes_a_value(
    standin: Standin, engine: ProcessEngine, own_triggers: Triggers
) -> None:
    outputs, secrets = Outputs(), {}
    trigger = own_triggers.create({**FAST, "max_attempts": "1", "twilio_base_url": standin.fault("refuse")["url"]})
    for n, _ in enumerate(bad_requests("")):
        secrets[f"bad request {n}"] = secret = new_secret()
        # Another idempotency key than the body's.
        headers = {"Idempotency-Key": new_word()}
        response = trigger.notify(bad_requests(secret)[n], headers=headers, query={"q": new_word()})
        assert response.status in (200, 400), response.text
        assert isinstance(response.json["results"], dict)
        outputs.add(f"answer to {n}", response.text)
    for query in ({"view": new_word()}, {"view": "status", "token": new_word()}):
        outputs.add("view", trigger.notify(b"", query=query, method="GET").text)
    outputs.of(trigger, engine)
    outputs.show_none(secrets | {"the caller's token": str(engine.token)})


@pytest.mark.parametrize("name", ["twilio_base_url", "outbox", "response_timeout", "allowed_hosts", "rate_limit"])
def test_an_argument_with_a_password_is_refused_and_not_quoted(
    engine: ProcessEngine, own_triggers: Triggers, name: str
) -> None:
    outputs, secrets = Outputs(), {}
    for form in ("https://{}@host/", "https://user:{}@host", "nats://a:4222 nats://u:{}@host:4222", "x https://a:{}@h"):
        secrets[form] = secret = new_word()
        trigger = own_triggers.create({name: form.format(secret)})
        response = trigger.notify({"notification_text": "x", "senders_config": {}})
        assert response.status == 503
        assert response.json["error"]["code"] == "secret_in_argument", response.text
        assert "configuration file" in response.json["error"]["hint"]
        outputs.add("answer", response.text)
        outputs.of(trigger, engine, sends=False)
    outputs.show_none(secrets)


def test_labels_are_stable_and_reveal_nothing_of_the_secret(
    standin: Standin, engine: ProcessEngine, own_triggers: Triggers, tmp_path: Path
) -> None:
    senders = {place.name: (place.sender, place.plant(place.make(), "http://127.0.0.1:9/")) for place in PLACES}
    body: dict[str, Any] = {"notification_text": "x", "senders_config": {}, "dry_run": True}
    for sender, configuration in senders.values():
        body["senders_config"].setdefault(sender, []).append(configuration)

    def labels(triggers: Triggers) -> list[str]:
        response = triggers.create().notify(body)
        return [entry["destination"] for entry in response.json["deliveries"]]

    before = labels(own_triggers)
    with ProcessEngine(tmp_path) as restarted, ExitStack() as stack:
        assert labels(Triggers(restarted, stack)) == before
    webhooks = [label for label in before if not label.startswith(("sms", "whatsapp"))]
    assert all(re.fullmatch(r"(slack|discord|http) 127\.0\.0\.1:9#[0-9a-f]{4}", label) for label in webhooks), webhooks
    assert len(set(webhooks)) > len(webhooks) - 2, "and tell destinations apart"
    outputs = Outputs()
    outputs.add("labels", "\n".join(before))
    outputs.show_none({})


@pytest.mark.parametrize("form", ["https://hooks.example/T0/{}", "hooks.example.com/T0/{}", "//u:{}@h", "me:{}@host"])
def test_no_url_in_an_invalid_value_is_quoted(
    standin: Standin, engine: ProcessEngine, own_triggers: Triggers, form: str
) -> None:
    members = ("level", "status", "timestamp", "template", "link")
    secrets = {member: new_word() for member in (*members, "an argument", "the name of one")}
    outputs = Outputs()
    trigger = own_triggers.create({**FAST, f"https://{secrets['the name of one']}": "1"})
    given = {member: form.format(secrets[member]) for member in members}
    response = trigger.notify(
        {"notification_text": "x", "senders_config": {"http": {"http_webhook_url": f"{standin.url}/hook/q"}}, **given}
    )
    assert response.json["results"] == {"http": True}, response.text
    assert len(response.json["warnings"]) >= len(members) - 1, response.text
    outputs.add("answer", response.text)
    outputs.of(trigger, engine)
    refused = own_triggers.create({**FAST, "delivery_timeout": form.format(secrets["an argument"])})
    outputs.add("refusal", refused.notify({"notification_text": "x"}).text)
    outputs.of(refused, engine, sends=False)
    outputs.show_none(secrets)
