"""A marked secret in every place where one may stand, echoed in every spelling, searched for in every output.

A new place is a row of ``PLACES``, a new spelling one of ``ECHOES``, a new output one more line in ``Outputs``.
What Rust alone could print (``Debug``, panics) is searched in ``tests/leaks.rs``.
"""

import base64
import html
import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus, urlsplit

import pytest

from tests.cli.program import run
from tests.harness import ProcessEngine, Standin, Trigger, Triggers, encode_headers, eventually, http_request

MARKED = re.compile(r"[Qq][Zz]\d{4}")
"""With this every secret begins, or a part of it that would tell something; nothing else does."""

_numbers = itertools.count(1)


def new_secret() -> str:
    """A secret that nobody has had, with characters that every notation escapes."""
    return f"Qz{next(_numbers):04}s3cr3tM4rk&<\"/+'x"


def new_word() -> str:
    """A secret of letters and digits alone."""
    return f"Qz{next(_numbers):04}s3cr3tM4rk"


def new_account() -> str:
    """As Twilio names accounts."""
    return "ACQz" + f"{next(_numbers):04}" + "5ecre7" * 4


def new_api_key() -> str:
    """As Twilio names API keys."""
    return "SK" + new_word()


def new_number() -> str:
    """A telephone number; its digits are searched for."""
    return f"+1{9870000000 + next(_numbers)}"


# Places


@dataclass(frozen=True)
class Place:
    """Where a secret may stand in a request, or in the server's environment."""

    name: str
    sender: str
    plant: Callable[[str, str], dict[str, str]]
    """(secret, base address that ends with a slash) to a sender's configuration."""
    make: Callable[[], str] = new_secret


def webhook(sender: str, path: str, headers: Mapping[str, str] | None = None) -> dict[str, str]:
    configuration = {f"{sender}_webhook_url": path}
    if headers is not None:
        configuration[f"{sender}_headers"] = encode_headers(headers)
    return configuration


def in_path(sender: str) -> Callable[[str, str], dict[str, str]]:
    return lambda secret, base: webhook(sender, f"{base}hook/{quote(secret, safe='')}")


def unique(path: str) -> str:
    return f"{path}{next(_numbers)}"


def userinfo(base: str, user: str, password: str) -> str:
    return unique(base.replace("://", f"://{quote(user, safe='')}:{quote(password, safe='')}@") + "hook/")


def phone(**given: str) -> dict[str, str]:
    plain = {"twilio_sid": "AC" + f"{next(_numbers):032}", "twilio_token": "t0ken"}
    return plain | {"twilio_from_number": "+15017122661", "twilio_to_number": "+15558675310"} | given


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


PLACES: list[Place] = [
    *(Place(f"path of {sender}", sender, in_path(sender)) for sender in ("slack", "discord", "http")),
    Place("deep in a path", "http", lambda s, base: webhook("http", f"{base}hook/a/{quote(s, '')}/b")),
    Place("query", "http", lambda s, base: webhook("http", unique(base + "hook/") + "?a=b&key=" + quote(s, ""))),
    Place(
        "query of discord", "discord", lambda s, base: webhook("discord", unique(base) + "?thread_id=" + quote(s, ""))
    ),
    Place("user", "http", lambda s, base: webhook("http", userinfo(base, s, "password"))),
    Place("password", "slack", lambda s, base: webhook("slack", userinfo(base, "user", s))),
    Place("header", "http", lambda s, base: webhook("http", unique(base + "hook/"), {"X-Api-Key": s})),
    Place("bearer", "slack", lambda s, base: webhook("slack", unique(base), {"Authorization": f"Bearer {s}"})),
    Place("basic", "discord", lambda s, base: webhook("discord", unique(base), {"authorization": basic("user", s)})),
    Place(
        "basic's user",
        "http",
        lambda s, base: webhook("http", unique(base + "hook/"), {"Authorization": basic(s, "p")}),
    ),
    Place("sid", "sms", lambda s, _: phone(twilio_sid=s), new_account),
    Place("token", "whatsapp", lambda s, _: phone(twilio_token=s)),
    Place("API key", "sms", lambda s, _: phone(twilio_sid=s, twilio_account_sid=new_account()), new_api_key),
    Place("account beside an API key", "sms", lambda s, _: phone(twilio_sid="SK0", twilio_account_sid=s), new_account),
    Place("to", "sms", lambda s, _: phone(twilio_to_number=s), new_number),
    Place("to by WhatsApp", "whatsapp", lambda s, _: phone(twilio_to_number=s), new_number),
    Place("from", "sms", lambda s, _: phone(twilio_from_number=s), new_number),
]


def new_mailbox() -> str:
    """A mail address."""
    return f"{new_word()}@example.com"


def mail(base: str, **given: str) -> dict[str, str]:
    """At a mail server that is none. What a real one echoes is in ``tests/channels/test_email.py``."""
    at = urlsplit(base)
    own = {"email_host": at.hostname or "", "email_port": str(at.port), "email_from": "alerts@example.com"}
    return {**own, "email_to": "a@example.com", "email_username": "me", "email_password": "p4ssword", **given}


MAILS: list[Place] = [
    Place("recipient", "email", lambda s, base: mail(base, email_to=s), new_mailbox),
    Place("account", "email", lambda s, base: mail(base, email_username=s)),
    Place("password", "email", lambda s, base: mail(base, email_password=s)),
]


# Echoes


def in_base64(before: str, encode: Callable[[bytes], bytes] = base64.b64encode) -> Callable[[str], str]:
    return lambda secret: encode(f"{before}{secret} and more".encode()).decode()


def wrapped(secret: str) -> str:
    encoded = base64.b64encode(f"a long line: {secret}".encode()).decode()
    return "\r\n".join(encoded[at : at + 16] for at in range(0, len(encoded), 16))


ECHOES: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "for a URL": lambda s: quote(s, safe=""),
    "for a URL, lower case": lambda s: re.sub("%..", lambda escape: escape[0].lower(), quote(s, safe="")),
    "for a URL twice": lambda s: quote(quote(s, safe=""), safe=""),
    "for a form": quote_plus,
    "in JSON": lambda s: json.dumps(s)[1:-1].replace("/", "\\/"),
    "in JSON, all escaped": lambda s: "".join(f"\\u{ord(c):04x}" for c in s),
    "in HTML": lambda s: html.escape(s).replace("/", "&#x2F;"),
    "in HTML, all escaped": lambda s: "".join(f"&#{ord(c)};" for c in s),
    "for a URL in JSON in HTML": lambda s: html.escape(json.dumps(quote(s, safe="/"))[1:-1]),
    "as Python shows bytes": lambda s: repr(s.encode("utf-16-be").replace(b"\0", b""))[2:-1],
    "with invisible characters": lambda s: "\u200b".join(s),
    "with control characters": lambda s: "\0".join(s),
    "one character a line": lambda s: "\r\n".join(s),
    "in base64": in_base64(""),
    "in base64, one byte on": in_base64("a"),
    "in base64, two bytes on": in_base64("ab"),
    "in base64 for URLs": in_base64("", base64.urlsafe_b64encode),
    "in base64 in lines": wrapped,
    "cut off": lambda s: s[:12],
}


@dataclass
class Outputs:
    """Everything that the notifier has shown."""

    shown: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, text: str) -> None:
        self.shown[f"{name} #{len(self.shown)}"] = text

    def of(self, trigger: Trigger, engine: ProcessEngine) -> None:
        """What a trigger's requests have left behind."""
        self.add("log", "\n".join(row["log_text"] for row in engine.logs(trigger.name)))
        for view in ("status", "metrics"):
            self.add(f"{view} view", trigger.notify(b"", query={"view": view}, method="GET").text)
        # The views have written what was left of it.
        history = http_request("GET", f"{engine.url}/_host/lines?db=notifications").text
        assert "history,sender=" in history
        self.add("history", history)
        self.add("standard error", engine.errors())

    def show_none(self, secrets: Mapping[str, str]) -> None:
        """Fail with the names of all secrets that something shows, and where."""
        leaks = set()
        for name, text in self.shown.items():
            # As it is, and without what may hide a secret from a search but not from a reader.
            for plain in (text, re.sub(r"[\u200b\0\s\\]|u200b", "", text)):
                leaks |= {f"{name}: {plain[max(0, m.start() - 40) : m.end() + 40]!r}" for m in MARKED.finditer(plain)}
            for place, secret in secrets.items():
                forms = [form(secret) for form in ECHOES.values()]
                # Of base64 what other bytes have a part in is left out.
                forms += [encoded[4:-4] for encoded in (in_base64(b)(secret)[:-12] for b in ("", "a", "ab"))]
                forms.append(secret.removeprefix("+"))
                leaks |= {f"{name}: {place}" for form in forms if len(form) > 7 and form in text}
        assert sorted(leaks) == []


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    """Secrets of the server's environment."""
    return {"sid": new_account(), "token": new_word(), "proxy": new_secret()}


@pytest.fixture(scope="module")
def engine(
    environment: dict[str, str], standin_process: Standin, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ProcessEngine]:
    """An engine whose environment holds secrets; its proxy is the stand-in."""
    credentials = f"user:{quote(environment['proxy'], safe='')}"
    variables = {
        "TWILIO_SID": environment["sid"],
        "TWILIO_TOKEN": environment["token"],
        "http_proxy": standin_process.url.replace("://", f"://{credentials}@"),
        "no_proxy": "127.0.0.1,localhost",
    }
    with ProcessEngine(tmp_path_factory.mktemp("leaks"), environment=variables) as engine:
        yield engine


@pytest.fixture
def own_triggers(engine: ProcessEngine) -> Iterator[Triggers]:
    """Makes triggers on that engine."""
    with ExitStack() as stack:
        yield Triggers(engine, stack)


FAST = {
    "max_attempts": "2",
    "initial_backoff": "10ms",
    "max_backoff": "10ms",
    "response_timeout": "4s",
    "history_table": "history",
}


class Echoing:
    """A request with every place in every spelling; the stand-in answers each with the echo of its secret."""

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
    """The path at the stand-in; as it decodes it."""
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
def test_row_33_no_echo_of_a_secret_is_shown(
    standin: Standin, engine: ProcessEngine, own_triggers: Triggers, status: int, message: str
) -> None:
    request = Echoing(standin, status, MESSAGES[message])
    body = {"notification_text": "the text is no secret", "senders_config": request.senders}
    outputs = Outputs()
    trigger = own_triggers.create({**FAST, "twilio_base_url": standin.url})
    answer = trigger.notify(body, headers={"Authorization": f"Bearer {new_word()}", "X-Api-Key": new_word()})
    deliveries = answer.json["deliveries"]
    assert len(deliveries) == len(request)
    assert {entry["http_status"] for entry in deliveries} == {status}, "each has seen its echo"
    if status != 200:
        shown = [entry["detail"] for entry in deliveries if entry["detail"] != "Twilio 50035: Invalid"]
        assert all("***" in detail for detail in shown), "it is masked, not left out"
    outputs.add("answer", answer.text)
    outputs.of(trigger, engine)
    outputs.show_none(request.secrets)


def test_row_33_nothing_is_shown_late_nor_by_a_dry_run(
    standin: Standin, engine: ProcessEngine, own_triggers: Triggers
) -> None:
    request = Echoing(standin, 500, MESSAGES["text"])
    body = {"notification_text": "x", "senders_config": request.senders}
    outputs = Outputs()
    # What Twilio lost is looked up before the end, and the answers to that echo as well.
    arguments = {"response_timeout": "0s", "delivery_timeout": "2500ms"}
    late = own_triggers.create({**FAST, "twilio_base_url": standin.url, **arguments})
    outputs.add("answer", late.notify(body).text)

    def ends() -> int:
        return sum("failed after" in text or "ambiguous after" in text for _, text in late.log_lines())

    eventually(lambda: ends() == len(request), "every delivery's end is logged", timeout=30)
    outputs.of(late, engine)
    dry = own_triggers.create({**FAST, "twilio_base_url": standin.url, "dry_run": "true"})
    answer = dry.notify(body)
    assert {entry["outcome"] for entry in answer.json["deliveries"]} == {"dry_run"}
    outputs.add("preview", answer.text)
    outputs.of(dry, engine)
    outputs.show_none(request.secrets)


def test_row_33_nothing_is_shown_of_what_an_outbox_keeps(
    standin: Standin, engine: ProcessEngine, own_triggers: Triggers, tmp_path: Path
) -> None:
    request = Echoing(standin, 500, MESSAGES["text"])
    (tmp_path / "key").write_text(key := new_word() + new_word())
    outbox, config = tmp_path / "outbox.db", tmp_path / "n.toml"
    config.write_text(f'[settings]\noutbox = "{outbox}"\noutbox_key = {{ file = "key" }}\n')
    trigger = own_triggers.create({**FAST, "twilio_base_url": standin.url, "config_file_path": str(config)})
    answer = trigger.notify({"notification_text": "x", "senders_config": request.senders})
    assert len(answer.json["deliveries"]) == len(request)
    outputs = Outputs()
    outputs.add("answer", answer.text)
    outputs.of(trigger, engine)
    task = answer.json["task_id"]
    for verb, *options in (["list", "--limit", "1000"], ["list", "--format", "json"], ["show", task], ["stats"]):
        shown = run("outbox", verb, outbox, *options)
        assert shown.status == 0, shown.err
        assert verb == "stats" or task in shown.out
        outputs.add(f"outbox {verb}", shown.out + shown.err)
    for file in tmp_path.glob("outbox.db*"):
        outputs.add(f"file {file.name}", file.read_bytes().decode("latin-1"))
    outputs.show_none(request.secrets | {"outbox_key": key})


FAULTS = ["refuse", "reset", "close", "silent", "malformed_status", "huge_header", "http09", "plain_text"]


def test_row_33_nothing_is_shown_of_a_destination_that_breaks(
    standin: Standin, engine: ProcessEngine, own_triggers: Triggers
) -> None:
    """What libraries say of such connections holds the URL."""
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
        answer = trigger.notify({"notification_text": "x", "senders_config": senders})
        outcomes = {entry["outcome"] for entry in answer.json["deliveries"]}
        assert outcomes <= {"failed", "ambiguous"}, f"{fault}: {outcomes}"
        outputs.add(f"answer of {fault}", answer.text)
        outputs.of(trigger, engine)
    outputs.show_none(secrets)


def test_row_33_nothing_is_shown_of_what_an_address_that_is_denied_would_have_got(
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
        answer = trigger.notify({"notification_text": "x", "senders_config": senders})
        assert {entry["reason"] for entry in answer.json["deliveries"]} == {"address_denied"}
        outputs.add("answer", answer.text)
        outputs.of(trigger, engine)
    outputs.show_none(secrets)


def test_row_33_no_secret_of_the_environment_is_shown(
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
        answer = trigger.notify({"notification_text": "x", "senders_config": {"sms": numbers, "http": http}})
        assert [entry["http_status"] for entry in answer.json["deliveries"]] == [400, 407, 407], answer.text
        outputs.add("answer", answer.text)
    outputs.of(trigger, engine)
    outputs.show_none({f"environment's {name}": secret for name, secret in environment.items()})


def bad_requests(secret: str) -> list[bytes]:
    """Requests that are answered by an error or a warning, each about a value that is a secret."""
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
        for field in ("host", "from", "to", "port", "tls", "username", "password")
        for value in (secret, f"{secret}\n", f"<{secret}")
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


def test_row_33_no_error_and_no_warning_quotes_a_value(
    standin: Standin, engine: ProcessEngine, own_triggers: Triggers
) -> None:
    outputs, secrets = Outputs(), {}
    trigger = own_triggers.create({**FAST, "max_attempts": "1", "twilio_base_url": standin.fault("refuse")["url"]})
    for n, _ in enumerate(bad_requests("")):
        secrets[f"bad request {n}"] = secret = new_secret()
        # The caller's own token, and another idempotency key than the body's.
        headers = {"Authorization": f"Bearer {new_word()}", "Idempotency-Key": new_word()}
        answer = trigger.notify(bad_requests(secret)[n], headers=headers, query={"q": new_word()})
        assert answer.status in (200, 400), answer.text
        assert isinstance(answer.json["results"], dict)
        outputs.add(f"answer to {n}", answer.text)
    for query in ({"view": new_word()}, {"view": "status", "token": new_word()}):
        outputs.add("view", trigger.notify(b"", query=query, method="GET").text)
    outputs.of(trigger, engine)
    outputs.show_none(secrets)


@pytest.mark.parametrize("name", ["twilio_base_url", "outbox", "response_timeout", "allowed_hosts", "rate_limit"])
def test_row_33_an_argument_with_a_password_is_refused_and_not_quoted(
    engine: ProcessEngine, own_triggers: Triggers, name: str
) -> None:
    outputs, secrets = Outputs(), {}
    for form in ("https://{}@host/", "https://user:{}@host", "nats://a:4222 nats://u:{}@host:4222", "x https://a:{}@h"):
        secrets[form] = secret = new_word()
        trigger = own_triggers.create({name: form.format(secret)})
        answer = trigger.notify({"notification_text": "x", "senders_config": {}})
        assert answer.status == 503
        assert answer.json["error"]["code"] == "secret_in_argument", answer.text
        assert "configuration file" in answer.json["error"]["hint"]
        outputs.add("answer", answer.text)
        outputs.of(trigger, engine)
    outputs.show_none(secrets)


def test_row_33_labels_are_the_same_after_a_restart_and_say_nothing_of_the_secret(
    standin: Standin, engine: ProcessEngine, own_triggers: Triggers, tmp_path: Path
) -> None:
    senders = {place.name: (place.sender, place.plant(place.make(), "http://127.0.0.1:9/")) for place in PLACES}
    body: dict[str, Any] = {"notification_text": "x", "senders_config": {}, "dry_run": True}
    for sender, configuration in senders.values():
        body["senders_config"].setdefault(sender, []).append(configuration)

    def labels(triggers: Triggers) -> list[str]:
        answer = triggers.create().notify(body)
        return [entry["destination"] for entry in answer.json["deliveries"]]

    before = labels(own_triggers)
    with ProcessEngine(tmp_path) as restarted, ExitStack() as stack:
        assert labels(Triggers(restarted, stack)) == before
    webhooks = [label for label in before if not label.startswith(("sms", "whatsapp"))]
    assert all(re.fullmatch(r"(slack|discord|http) 127\.0\.0\.1:9#[0-9a-f]{4}", label) for label in webhooks), webhooks
    assert len(set(webhooks)) > len(webhooks) - 2, "and tell destinations apart"
    outputs = Outputs()
    outputs.add("labels", "\n".join(before))
    outputs.show_none({})


# The configuration file


@dataclass(frozen=True)
class FilePlace:
    """Where a secret may stand in the file: literally, by a variable of the environment, or in a file of its own."""

    name: str
    sender: str
    fields: Callable[[str, str], str]
    """(the value in TOML, base address) to the fields of a destination; ``PATH`` stands for a path of its own."""
    value: Callable[[str, str], str] = lambda secret, _: secret
    """(secret, base address) to the value that is written, set or stored."""
    make: Callable[[], str] = new_secret


def hook(rest: str) -> Callable[[str, str], str]:
    return lambda value, base: f'webhook_url = "{base}hook/PATH"\n' + rest.replace("VALUE", value)


def sms_with(field: str) -> Callable[[str, str], str]:
    return lambda value, _: "".join(
        f"{name} = {value if name == field else json.dumps(given)}\n" for name, given in phone().items()
    ).replace("twilio_", "")


FILE_PLACES: list[FilePlace] = [
    *(
        FilePlace(
            f"path of {sender}",
            sender,
            lambda value, _: f"webhook_url = {value}\n",
            lambda secret, base: f"{base}hook/{quote(secret, safe='')}",
        )
        for sender in ("slack", "discord", "http")
    ),
    FilePlace(
        "password of a URL",
        "http",
        lambda value, _: f"webhook_url = {value}\n",
        lambda secret, base: userinfo(base, "user", secret),
    ),
    FilePlace("header", "slack", hook("headers = { X-Key = VALUE }\n")),
    FilePlace("bearer token", "http", hook("bearer_token = VALUE\n")),
    FilePlace("password", "http", hook('basic_auth = { username = "me", password = VALUE }\n')),
    FilePlace("user name", "http", hook('basic_auth = { username = VALUE, password = "x" }\n')),
    FilePlace(
        "signing secret",
        "http",
        hook("signing_secret = [VALUE]\n"),
        make=lambda: "whsec_" + new_word() + "M4rk" * 8,
    ),
    FilePlace(
        "proxy's password",
        "http",
        lambda value, _: f'webhook_url = "http://elsewhere.invalid/hook/PATH"\nproxy = {value}\n',
        lambda secret, base: userinfo(base, "user", secret),
    ),
    FilePlace("sid", "sms", sms_with("twilio_sid"), make=new_account),
    FilePlace("token", "whatsapp", sms_with("twilio_token")),
    FilePlace("to", "sms", sms_with("twilio_to_number"), make=new_number),
    FilePlace("from", "sms", sms_with("twilio_from_number"), make=new_number),
    FilePlace(
        "service",
        "sms",
        lambda value, base: sms_with("")(value, base) + f"messaging_service_sid = {value}\n",
        make=lambda: "MG" + new_word(),
    ),
]
WAYS = ("literally", "by the environment", "by a file")


class EchoingFile:
    """Receivers with a secret in every place, given in every way; the stand-in echoes each in one spelling."""

    def __init__(self, standin: Standin, directory: Path, echo: Callable[[str], str], base: str, status: int) -> None:
        self.secrets: dict[str, str] = {}
        self.environment: dict[str, str] = {}
        text = ""
        for place, way in itertools.product(FILE_PLACES, WAYS):
            n = next(_numbers)
            secret = place.make()
            value = place.value(secret, base)
            written = json.dumps(value)
            if way == "by the environment":
                self.environment[f"LEAK_{n}"] = value
                written = f'{{ env = "LEAK_{n}" }}'
            elif way == "by a file":
                (directory / f"secret-{n}").write_text(value + "\n")
                written = f'{{ file = "secret-{n}" }}'
            self.secrets[f"{place.name}, {way}"] = secret
            text += f"[receivers.r{len(self.secrets)}.{place.sender}]\n"
            fields = place.fields(written, base).replace("PATH", str(n))
            text += fields
            path = self._path(place, fields, value, n)
            body = f"nothing here knows {echo(secret)}"
            standin.rule(path, reply={"status": status, "body": body})
        self.receivers = [f"r{n + 1}" for n in range(len(self.secrets))]
        self.file = directory / "notifier.toml"
        self.file.write_text(text)

    @staticmethod
    def _path(place: FilePlace, fields: str, value: str, n: int) -> str:
        if place.sender in ("sms", "whatsapp"):
            sid = re.search(r'^sid = "(\w+)"', fields, re.MULTILINE)
            return f"/2010-04-01/Accounts/{sid[1] if sid else value}/Messages.json"
        if "hook/" in value and "proxy" not in place.name:
            return "/" + value.split("/", 3)[3]
        return f"/hook/{n}"


@pytest.mark.parametrize("echo", ECHOES.values(), ids=ECHOES)
def test_row_33_no_secret_of_the_configuration_file_is_shown(
    echo: Callable[[str], str], standin: Standin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = EchoingFile(standin, tmp_path, echo, f"{standin.url}/", 400)
    arguments = {**FAST, "twilio_base_url": standin.url, "config_file_path": str(given.file)}
    outputs = Outputs()
    with ProcessEngine(tmp_path, environment=given.environment) as engine, ExitStack() as stack:
        trigger = Triggers(engine, stack).create(arguments)
        for more in ({}, {"dry_run": True}):
            answer = trigger.notify({"notification_text": "x", "receivers": given.receivers, **more})
            outputs.add("answer", answer.text)
            deliveries = answer.json["deliveries"]
            assert len(deliveries) == len(given.receivers), answer.text
            if not more:
                assert {entry["http_status"] for entry in deliveries} == {400}, "each has seen its echo"
        outputs.of(trigger, engine)
    outputs.show_none(given.secrets)


def bad_files(secret: str) -> list[str]:
    """Files that cannot be used, each because of a value that is a secret, or beside one."""
    quoted = json.dumps(secret)
    word = re.sub(r"\W", "", secret)
    http = '[receivers.r.http]\nwebhook_url = "http://127.0.0.1:9/"\n'
    return [
        f"[receivers.r.http]\nwebhook_url = {word}\n",
        f"[receivers.r.http]\nwebhook_url = {quoted}\n",
        f"[receivers.r.http]\nwebhook_url = {quoted}{quoted}\n",
        f"[receivers.r.http]\nwebhook_url = {quoted[:-1]}\n",
        f'[receivers.r.http]\nwebhook_url = "http://ho st/{word}"\n',
        f"[receivers.r.http]\nwebhook_url = [{quoted}]\n",
        f"[receivers.r.http]\nwebhook_url = {{ url = {quoted} }}\n",
        f"[receivers.r]\nhttp = {quoted}\n",
        f"[receivers]\nr = {quoted}\n",
        http + f'bearer_token = {quoted[:-1]}\\nx"\n',
        http + f"bearer_token = [{quoted}]\n",
        http + f"basic_auth = {quoted}\n",
        http + f"basic_auth = {{ username = {quoted} }}\n",
        http + f"headers = [{quoted}]\n",
        http + f"headers = {quoted}\nnope = {quoted}\n",
        http + f"headers = {{ X-Key = [{quoted}] }}\nmethod = {quoted}\n",
        http + f"signing_secret = {quoted}\n",
        http + f'signing_secret = "whsec_{word}"\n',
        http + f"proxy = {quoted}\n",
        http + f'proxy = "socks5://user:{word}@host"\n',
        http + f"rate_limit = {quoted}\nallow_mentions = {quoted}\ntemplate = [{quoted}]\n",
        http + f"body_template = '{{{{ \"{word}\" | nope }}}}'\n",
        http + 'client_certificate = "broken.pem"\n',
        f"[receivers.r.sms]\nsid = {quoted}\ntoken = {quoted}\nfrom_number = {quoted}\nto_number = {quoted}\n",
        f"[receivers.r.sms]\nsid = 'AC0'\ntoken = {{ t = {quoted} }}\n",
        f'[receivers.r.email]\nhost = "h"\nfrom = {quoted}\nto = [{quoted}]\nport = {quoted}\ntls = {quoted}\n',
        f'[receivers.r.email]\nhost = {quoted}\nfrom = "a@b.example"\nto = {{ a = {quoted} }}\npassword = {quoted}\n',
        f'[settings]\ntwilio_base_url = "ftp://user:{word}@host"\nmax_attempts = {quoted}\nnope = {quoted}\n',
        f"[templates.t]\ntext = '{{{{ \"{word}\" + 1'\n",
        f"[[routes]]\nmatch = {{ fields = {{ a = '~(' }}, level = {quoted} }}\n",
        f"[[silences]]\nname = 5\nfrom = {quoted}\ntime_zone = {quoted}\nweekly = {quoted}\n",
        f"{word} {word}\n",
        f"= {quoted}\n",
    ]


def test_row_33_no_error_of_the_configuration_file_quotes_a_value(
    engine: ProcessEngine, own_triggers: Triggers, tmp_path: Path
) -> None:
    outputs, secrets = Outputs(), {}
    for n, _ in enumerate(bad_files("")):
        secrets[f"bad file {n}"] = secret = new_secret()
        (tmp_path / "broken.pem").write_text(f"-----BEGIN PRIVATE KEY-----\n{secret}\n-----END PRIVATE KEY-----\n")
        file = tmp_path / f"n{n}.toml"
        file.write_text(bad_files(secret)[n])
        trigger = own_triggers.create({"config_file_path": str(file)})
        answer = trigger.notify({"notification_text": "x", "receivers": ["r"]})
        assert answer.status == 503, (file.read_text(), answer.text)
        assert re.search(r"line \d+, column \d+: ", answer.json["message"]), answer.text
        outputs.add(f"answer to {n}", answer.text)
        outputs.of(trigger, engine)
    outputs.show_none(secrets)
