"""Nested routes, end to end: the receivers of each request."""

import json
from typing import Any

import pytest

from tests.contract.case import HOST, Case, delivers_to, run_case
from tests.contract.provider_requests import to_http
from tests.harness import Standin, Triggers

RECEIVERS = "".join(
    f'[receivers.{name}.http]\nwebhook_url = "http://{HOST}/hook/{name}"\n'
    for name in ("team", "oncall", "log", "rest")
)
TREE = (
    '[settings]\ndefault_receivers = "rest"\n'
    + RECEIVERS
    + """
[[routes]]
name = "databases"
match = { fields.host = "~^db" }
receivers = ["team"]
continue = true

[[routes.routes]]
match = { level = "critical", fields.env = "!test" }
receivers = ["oncall", "team"]

[[routes.routes]]
match = { level = "!~^(ok|info)$" }
receivers = ["oncall"]

[[routes.routes.routes]]
match = { title = "=~backup" }
receivers = ["log"]

[[routes]]
match = { level = "!ok", status = "!resolved", fields.host = "~." }
receivers = ["log"]
"""
)


def goes_to(name: str, body: dict[str, Any], *receivers: str) -> Case:
    text = {"notification_text": "x"}
    order = ("title", "level", "status", "fields")
    members = {member: body[member] for member in order if member in body}
    message = json.dumps({"message": "x"} | members, separators=(",", ":")).encode()
    return delivers_to(
        name, text | body, TREE, *((receiver, to_http(message, f"/hook/{receiver}")) for receiver in receivers)
    )


DB, TEST, WEB = ({"host": "db1"}, {"host": "db1", "env": "test"}, {"host": "web1"})
ROWS = [
    goes_to("the first inner route", {"level": "critical", "fields": DB}, "oncall", "team", "log"),
    goes_to("a field that must be another", {"level": "critical", "fields": TEST}, "oncall", "log"),
    goes_to("a level that must be another", {"level": "error", "fields": DB}, "oncall", "log"),
    goes_to("no level at all", {"fields": DB}, "oncall", "log"),
    goes_to("the outer route, since no inner one matches", {"level": "info", "fields": DB}, "team", "log"),
    goes_to("the outer route alone", {"level": "ok", "fields": DB}, "team"),
    goes_to("a route in a route in a route", {"title": "~backup", "level": "error", "fields": DB}, "log"),
    goes_to("another outer route", {"level": "error", "fields": WEB}, "log"),
    goes_to("no route, by a level", {"level": "ok", "fields": WEB}, "rest"),
    goes_to("no route, by a field that is not there", {"level": "error"}, "rest"),
    goes_to("no route, by a status", {"status": "resolved", "fields": WEB}, "rest"),
]


@pytest.mark.parametrize("case", ROWS, ids=str)
def test_a_request_reaches_the_receivers_of_the_tree(case: Case, triggers: Triggers, standin: Standin) -> None:
    run_case(case, triggers, standin)
