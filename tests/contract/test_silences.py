"""Silences end to end: muted notifications, and their reports."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.contract.case import HOST, Case, delivers, delivers_to, previewed, run_case, suppressed, write_config
from tests.contract.provider_requests import SLACK, TWILIO, to_http, to_slack
from tests.harness import Standin, Trigger, Triggers

OPS = f'[receivers.ops.http]\nwebhook_url = "http://{HOST}/hook/ops"\n'
HI = {"notification_text": "hi", "receivers": ["ops"]}
ALWAYS = '[[silences]]\nname = "planned work"\n'
NOT_HI = '[[silences]]\nname = "others"\nmatch = { fields = { host = "db2" } }\n'
DB1 = {"fields": {"host": "db1"}}
RESOLVED = ({"status": "resolved"}, b'{"message":"hi","status":"resolved"}')


def silence(**keys: object) -> str:
    return ALWAYS + "".join(f"{key} = {value}\n" for key, value in keys.items())


def kept_back(name: str, config: str, body: dict[str, Any] | None = None, **members: Any) -> Case:
    """A row of which nothing is sent."""
    usual: dict[str, Any] = {
        "results": {"ops": "suppressed"},
        "deliveries": [suppressed("http", "planned work", receiver="ops")],
    }
    return Case(name, HI | (body or {}), config=OPS + config, **(usual | members))


def goes(name: str, config: str, body: dict[str, Any] | None = None, message: bytes | str = "hi") -> Case:
    """A row of which all is sent."""
    return delivers_to(name, HI | (body or {}), OPS + config, ("ops", to_http(message, "/hook/ops")))


def at(delta: timedelta) -> str:
    return f'"{(datetime.now(UTC) + delta).isoformat()}"'


HOUR = timedelta(hours=1)
DB1_MESSAGE = b'{"message":"hi","fields":{"host":"db1"}}'
ROWS = [
    kept_back("a silence without a matcher", ALWAYS),
    kept_back("the first of those that hold is named", NOT_HI + ALWAYS + ALWAYS.replace("planned work", "later")),
    goes("a silence for others", NOT_HI, DB1, DB1_MESSAGE),
    kept_back(
        "by level, which stands in the text", silence(match='{ level = "info" }'), {"notification_text": "[INFO] x"}
    ),
    goes("by level, and there is none", silence(match='{ level = "info" }')),
    kept_back("by a field's expression", silence(match='{ fields = { host = "~^db[0-9]$" } }'), DB1),
    kept_back("by a level that it is not, and there is none", silence(match='{ level = "!critical" }')),
    goes(
        "by a level that it is not, and it is that one",
        silence(match='{ level = "!critical" }'),
        {"level": "critical"},
        b'{"message":"hi","level":"critical"}',
    ),
    kept_back("by a field's negated expression", silence(match='{ fields.host = "!~^web" }'), DB1),
    goes("by a field that it is not", silence(match='{ fields.host = "!db1" }'), DB1, DB1_MESSAGE),
    kept_back("by a title", silence(match='{ title = "~^Disk" }'), {"title": "Disk full"}),
    goes("by a table, and a request has none", silence(match='{ table = "cpu" }')),
    kept_back("by status", silence(match='{ status = "firing" }'), {"status": "firing"}),
    goes("a resolved, though the silence names it", silence(match='{ status = "resolved" }'), *RESOLVED),
    goes("a resolved of an alert that nobody was notified of", ALWAYS, *RESOLVED),
    goes(
        "where only one of two matches",
        silence(match='{ level = "info", fields = { host = "db1" } }'),
        DB1,
        DB1_MESSAGE,
    ),
    kept_back("between its times", silence(**{"from": at(-HOUR), "until": at(HOUR)})),
    goes("before its time", silence(**{"from": at(HOUR)})),
    goes("after its time", silence(until=at(-HOUR))),
    kept_back(
        "times as TOML writes them", silence(**{"from": "2020-01-01T00:00:00Z", "until": "2999-01-01T00:00:00+01:00"})
    ),
    kept_back("every day of the week", silence(weekly='"Mon-Sun 00:00-24:00"', time_zone='"Asia/Kolkata"')),
    Case(
        "a silence is for senders too",
        {"notification_text": "hi", "senders_config": {"slack": SLACK, "sms": TWILIO}, "receivers": ["ops"]},
        {"slack": "suppressed", "sms": "suppressed", "ops": "suppressed"},
        deliveries=[
            suppressed("slack", "planned work"),
            suppressed("sms", "planned work"),
            suppressed("http", "planned work", receiver="ops"),
        ],
        config=OPS + ALWAYS,
    ),
    Case(
        "a dry run says that it would be",
        HI | {"dry_run": True},
        {"ops": "dry_run"},
        deliveries=[previewed("http", "application/json", '{"message":"hi"}', receiver="ops")],
        warnings=["the silence planned work would suppress this"],
        config=OPS + ALWAYS,
    ),
    delivers("no file, no silence", {"notification_text": "hi", "senders_config": {"slack": SLACK}}, to_slack("hi")),
]


@pytest.mark.parametrize("case", ROWS, ids=str)
def test_a_silence_suppresses_matching_notifications(case: Case, triggers: Triggers, standin: Standin) -> None:
    run_case(case, triggers, standin)


def create(triggers: Triggers, standin: Standin, config: str) -> Trigger:
    text = config.replace(HOST, f"127.0.0.1:{standin.port}")
    return triggers.create({"config_file_path": str(write_config(triggers.engine.plugin_dir, text))})


PAGER = f"""\
[receivers.ops]
http = {{ webhook_url = "http://{HOST}/hook/pager" }}
pagerduty = {{ routing_key = "R0151XYZ0151XYZ0151XYZ0151XYZ015", base_url = "http://{HOST}" }}
"""


@pytest.mark.parametrize(
    "match", ["", 'match = { level = "critical" }\n', 'match = { status = ["resolved", "acknowledged"] }\n']
)
def test_a_silence_that_begins_later_leaves_no_incident_open(match: str, triggers: Triggers, standin: Standin) -> None:
    key = f"silence {match}"
    body = HI | {"dedup_key": key, "level": "critical"}
    assert create(triggers, standin, PAGER).notify(body | {"status": "firing"}).json["results"] == {"ops": True}
    silent = create(triggers, standin, PAGER + ALWAYS + match)
    # A silence that names a status is for that status, unless it is `resolved`.
    acknowledged = "status" not in match
    for status in ("acknowledged", "resolved"):
        silent.notify(body | {"status": status})
    actions = [
        message["detail"]["event_action"] for message in standin.messages() if message["provider"] == "pagerduty"
    ]
    assert actions == (["trigger", "acknowledge", "resolve"] if acknowledged else ["trigger", "resolve"])
    texts = [message["detail"] for message in standin.messages() if message["provider"] == "webhook"]
    assert [text["status"] for text in texts] == ["firing", "resolved"]


ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Chatham"]


@pytest.mark.parametrize("zone", ZONES)
def test_a_weekly_window_uses_its_time_zone(zone: str, triggers: Triggers, standin: Standin) -> None:
    now = datetime.now(ZoneInfo(zone))

    def then(**delta: int) -> datetime:
        return now + timedelta(**delta)

    # Wide enough for a test that is slow, or runs at midnight.
    for window, result in [
        (f"{then(days=-1):%a}-{then(days=1):%a} 00:00-24:00", "suppressed"),
        (f"{then(days=2):%a}-{then(days=4):%A} 00:00-24:00", True),
        (f"Mon-Sun {then(hours=-2):%H:%M}-{then(hours=2):%H:%M}", "suppressed"),
        (f"mon-sun {then(hours=2):%H:%M}-{then(hours=4):%H:%M}", True),
    ]:
        config = OPS + silence(weekly=f'"{window}"', time_zone=f'"{zone}"')
        response = create(triggers, standin, config).notify(HI).json
        assert response["results"] == {"ops": result}, (window, now)


def suppressed_so_far(trigger: Trigger) -> float:
    text = trigger.notify(b"", query={"view": "metrics"}, method="GET").text
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return sum(
        sample.value
        for sample in samples
        if sample.name == "notifier_deliveries_total"
        and (sample.labels["sender"], sample.labels["outcome"]) == ("http", "suppressed")
    )


def test_a_silenced_notification_is_counted_and_known_by_its_idempotency_key(
    triggers: Triggers, standin: Standin
) -> None:
    trigger = create(triggers, standin, OPS + ALWAYS)
    before = suppressed_so_far(trigger)
    for replayed in (None, True):
        response = trigger.notify(HI | {"idempotency_key": "k"}).json
        assert (response["results"], response.get("replayed")) == ({"ops": "suppressed"}, replayed)
    assert suppressed_so_far(trigger) == before + 1
    assert standin.requests() == []
