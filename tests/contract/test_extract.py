"""Fields from a notification's text: which routes, silences, templates and messages see them."""

import json
from typing import Any

import pytest

from tests.contract.case import HOST, Case, delivers_to, run_case, write_config
from tests.contract.provider_requests import to_http
from tests.harness import Standin, Triggers

RECEIVERS = "".join(
    f'[receivers.{name}.http]\nwebhook_url = "http://{HOST}/hook/{name}"\n' for name in ["team", "oncall", "audit"]
)
HOST_GROUP = "extract = '~host=(?<host>[\\w.-]*\\w)'\n"
DEFAULT = '[settings]\ndefault_receivers = ["team"]\n'
DB = '[[routes]]\nmatch = { fields = { host = "~^db" } }\nreceivers = ["oncall"]\n'
FILE = DEFAULT + HOST_GROUP + RECEIVERS + DB


def say(text: Any, **members: Any) -> dict[str, Any]:
    return {"notification_text": text, **members}


def to(receiver: str, text: Any, **fields: Any) -> tuple[str, Any]:
    members = {"fields": fields} if fields else {}
    return receiver, to_http(
        json.dumps({"message": text, **members}, separators=(",", ":")).encode(), f"/hook/{receiver}"
    )


def route(extract: str, receiver: str, more: str = "") -> str:
    return f"[[routes]]\nextract = '{extract}'\nreceivers = [\"{receiver}\"]\n{more}"


SETTINGS = [
    delivers_to(
        "a field that a route matches", say("cpu of host=db1."), FILE, to("oncall", "cpu of host=db1.", host="db1")
    ),
    delivers_to("another value", say("host=web1"), FILE, to("team", "host=web1", host="web1")),
    delivers_to("no such text", say("cpu is busy"), FILE, to("team", "cpu is busy")),
    delivers_to(
        "a number as a text", say(97), FILE.replace("host=(?<host>[\\w.-]*\\w)", "(?<n>.)"), to("team", 97, n="9")
    ),
    delivers_to(
        "fields of the request win",
        say("host=db1", fields={"host": "web1", "n": 1}),
        FILE,
        to("team", "host=db1", host="web1", n=1),
    ),
    delivers_to(
        "one that is null does not",
        say("host=db1", fields={"host": None}),
        FILE,
        to("oncall", "host=db1", host="db1"),
    ),
    delivers_to(
        "for named receivers too",
        say("host=db1", receivers=["audit"]),
        FILE,
        to("audit", "host=db1", host="db1"),
    ),
    delivers_to(
        "several expressions",
        say("[ERROR] Threshold Alert on table cpu: host=db1"),
        FILE.replace(
            "extract = ", "extract = ['~on table (?<table>\\w+)', '~^\\[(?<host>\\w+)\\] (?<kind>\\w+)', "
        ).replace("\\w)'\n[", "\\w)']\n["),
        to("team", "[ERROR] Threshold Alert on table cpu: host=db1", table="cpu", host="ERROR", kind="Threshold"),
    ),
    delivers_to(
        "a template sees them",
        say("host=db1"),
        FILE.replace('/hook/oncall"', '/hook/oncall"\ntemplate = "t"')
        + '[templates.t]\ntext = "on {{ notification.fields.host }}"\n',
        to("oncall", "on db1", host="db1"),
    ),
]
OF_ROUTES = [
    delivers_to(
        "the receivers of the route see them",
        say("host=db1"),
        DEFAULT + RECEIVERS + route("~host=(?<host>\\S+)", "oncall"),
        to("oncall", "host=db1", host="db1"),
    ),
    delivers_to(
        "a route that does not match makes none",
        say("host=db1"),
        DEFAULT + RECEIVERS + route("~host=(?<host>\\S+)", "oncall", 'match = { text = "~disk" }\n'),
        to("team", "host=db1"),
    ),
    delivers_to(
        "the routes behind it see them, and all messages have them",
        say("host=db1"),
        DEFAULT + RECEIVERS + route("~host=(?<host>\\S+)", "audit", "continue = true\n") + DB,
        to("audit", "host=db1", host="db1"),
        to("oncall", "host=db1", host="db1"),
    ),
    delivers_to(
        "the routes before it do not",
        say("host=db1"),
        DEFAULT + RECEIVERS + DB + route("~host=(?<host>\\S+)", "audit"),
        to("audit", "host=db1", host="db1"),
    ),
    delivers_to(
        "nor does its own match",
        say("host=db1"),
        DEFAULT + RECEIVERS + DB + "extract = '~host=(?<host>\\S+)'\n",
        to("team", "host=db1"),
    ),
    delivers_to(
        "fields that are there win",
        say("host=db1 host=db2", fields={"n": "1"}),
        DEFAULT
        + RECEIVERS
        + route("~host=(?<host>\\S+)", "audit", "continue = true\n")
        + route("~host=(?<host>db2) *(?<n>.*)", "oncall"),
        to("audit", "host=db1 host=db2", n="1", host="db1"),
        to("oncall", "host=db1 host=db2", n="1", host="db1"),
    ),
]


@pytest.mark.parametrize("case", SETTINGS + OF_ROUTES, ids=str)
def test_named_groups_of_the_text_become_fields(case: Case, triggers: Triggers, standin: Standin) -> None:
    run_case(case, triggers, standin)


@pytest.mark.parametrize("place", ["settings", "route"])
def test_a_silence_sees_the_fields(place: str, triggers: Triggers, standin: Standin) -> None:
    made = FILE if place == "settings" else DEFAULT + RECEIVERS + route("~host=(?<host>\\S+)", "oncall")
    text = made + '[[silences]]\nname = "move"\nmatch = { fields = { host = "db7" } }\n'
    file = write_config(triggers.engine.plugin_dir, text.replace(HOST, f"127.0.0.1:{standin.port}"))
    trigger = triggers.create({"config_file_path": str(file)})
    assert trigger.notify(say("host=db7")).json["results"] == {"oncall": "suppressed"}
    assert trigger.notify(say("host=db8")).json["results"] == {"oncall": True}
