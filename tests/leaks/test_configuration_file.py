"""No output shows a secret or an invalid value of the configuration file."""

import itertools
import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.harness import ProcessEngine, Standin, Triggers
from tests.leaks.echoes import ECHOES
from tests.leaks.outputs import FAST, Outputs
from tests.leaks.places import phone, userinfo
from tests.leaks.secrets import NUMBERS, new_account, new_number, new_secret, new_service, new_word


@dataclass(frozen=True)
class FilePlace:
    """Sources of a secret in the file: literal, environment variable, or file."""

    name: str
    sender: str
    fields: Callable[[str, str], str]
    """(the value in TOML, base address) to the fields of a destination, with ``PATH`` for a unique path."""
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
        make=new_service,
    ),
]
WAYS = ("literally", "by the environment", "by a file")


class EchoingFile:
    """Receivers with secrets in every location and from every source. The stand-in echoes each in one encoding."""

    def __init__(self, directory: Path, base: str, echo: Callable[[str], str]) -> None:
        self.secrets: dict[str, str] = {}
        self.environment: dict[str, str] = {}
        self._echoes: dict[str, str] = {}
        text = ""
        for place, way in itertools.product(FILE_PLACES, WAYS):
            n = next(NUMBERS)
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
            fields = place.fields(written, base).replace("PATH", str(n))
            text += f"[receivers.r{len(self.secrets)}.{place.sender}]\n{fields}"
            self._echoes[self._path(place, fields, value, n)] = echo(secret)
        self.receivers = [f"r{n + 1}" for n in range(len(self.secrets))]
        self.file = directory / "notifier.toml"
        self.file.write_text(text)

    def order_echoes(self, standin: Standin, status: int) -> None:
        """Let the stand-in reply to each receiver with its secret."""
        for path, echo in self._echoes.items():
            standin.rule(path, reply={"status": status, "body": f"nothing here knows {echo}"})

    @staticmethod
    def _path(place: FilePlace, fields: str, value: str, n: int) -> str:
        if place.sender in ("sms", "whatsapp"):
            sid = re.search(r'^sid = "(\w+)"', fields, re.MULTILINE)
            return f"/2010-04-01/Accounts/{sid[1] if sid else value}/Messages.json"
        if "hook/" in value and "proxy" not in place.name:
            return "/" + value.split("/", 3)[3]
        return f"/hook/{n}"


@pytest.fixture(scope="module")
def echoing_files(standin_process: Standin, tmp_path_factory: pytest.TempPathFactory) -> dict[str, EchoingFile]:
    """A file for each encoding."""
    base = f"{standin_process.url}/"
    return {name: EchoingFile(tmp_path_factory.mktemp("echoes"), base, echo) for name, echo in ECHOES.items()}


@pytest.fixture(scope="module")
def engine_of_files(
    echoing_files: dict[str, EchoingFile], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ProcessEngine]:
    """An engine with the secrets of all files in its environment."""
    environment = {name: value for given in echoing_files.values() for name, value in given.environment.items()}
    with ProcessEngine(tmp_path_factory.mktemp("leaks"), environment=environment) as engine:
        yield engine


@pytest.mark.parametrize("echo", ECHOES)
def test_no_secret_of_the_configuration_file_is_shown(
    echo: str, standin: Standin, echoing_files: dict[str, EchoingFile], engine_of_files: ProcessEngine
) -> None:
    given = echoing_files[echo]
    given.order_echoes(standin, 400)
    arguments = {**FAST, "twilio_base_url": standin.url, "config_file_path": str(given.file)}
    outputs = Outputs()
    with ExitStack() as stack:
        trigger = Triggers(engine_of_files, stack).create(arguments)
        for more in ({}, {"dry_run": True}):
            response = trigger.notify({"notification_text": "x", "receivers": given.receivers, **more})
            outputs.add("answer", response.text)
            deliveries = response.json["deliveries"]
            assert len(deliveries) == len(given.receivers), response.text
            if not more:
                assert {entry["http_status"] for entry in deliveries} == {400}, "each has seen its echo"
        # A body of another system: its alerts go to the default receivers.
        arguments["default_receivers"] = " ".join(given.receivers)
        trigger = Triggers(engine_of_files, stack).create(arguments)
        response = trigger.notify([{"labels": {"alertname": "x"}}, {"labels": {}}])
        outputs.add("answer to alerts", response.text)
        (alert, _) = response.json["alerts"]
        assert len(alert["deliveries"]) == len(given.receivers), response.text
        outputs.of(trigger, engine_of_files)
    outputs.show_none(given.secrets)


def bad_files(secret: str) -> list[str]:
    """Invalid files, each with a secret in or near the invalid value."""
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
        f'[receivers.r.email]\nhost = "h"\nfrom = "a@b"\nto = []\ncc = [{quoted}]\nbcc = {quoted}\nhello = {quoted}\n',
        f'[receivers.r.email]\nhost = {quoted}\nfrom = "a@b.example"\nto = {{ a = {quoted} }}\npassword = {quoted}\n',
        f'[settings]\ntwilio_base_url = "ftp://user:{word}@host"\nmax_attempts = {quoted}\nnope = {quoted}\n',
        f"[templates.t]\ntext = '{{{{ \"{word}\" + 1'\n",
        f"[[routes]]\nmatch = {{ fields = {{ a = '~(' }}, level = {quoted} }}\n",
        f"[[silences]]\nname = 5\nfrom = {quoted}\ntime_zone = {quoted}\nweekly = {quoted}\n",
        f"{word} {word}\n",
        f"= {quoted}\n",
    ]


def test_no_error_of_the_configuration_file_quotes_a_value(
    engine: ProcessEngine, own_triggers: Triggers, tmp_path: Path
) -> None:
    outputs, secrets = Outputs(), {}
    for n, _ in enumerate(bad_files("")):
        secrets[f"bad file {n}"] = secret = new_secret()
        (tmp_path / "broken.pem").write_text(f"-----BEGIN PRIVATE KEY-----\n{secret}\n-----END PRIVATE KEY-----\n")
        file = tmp_path / f"n{n}.toml"
        file.write_text(bad_files(secret)[n])
        trigger = own_triggers.create({"config_file_path": str(file)})
        response = trigger.notify({"notification_text": "x", "receivers": ["r"]})
        assert response.status == 503, (file.read_text(), response.text)
        assert re.search(r"line \d+, column \d+: ", response.json["message"]), response.text
        outputs.add(f"answer to {n}", response.text)
        outputs.of(trigger, engine, sends=False)
    outputs.show_none(secrets)
