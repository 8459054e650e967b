"""docs/history.md and its files: every query runs on real history rows."""

import json
import re
import tomllib
from datetime import UTC, datetime, timedelta
from typing import Any

import datafusion
import prometheus_client.parser
import pyarrow as pa
import pytest

from tests import harness
from tests.docs.documents import blocks
from tests.engine_host.line_protocol import parse_line
from tests.engine_host.sql import session
from tests.harness import ROOT, Triggers
from tests.rows.table import Table

PAGE = (ROOT / "docs" / "history.md").read_text(encoding="utf-8")
QUERIES = [block.text for block in blocks(PAGE) if block.language == "sql"]
DASHBOARD: dict[str, Any] = json.loads((ROOT / "examples" / "grafana-history.json").read_text(encoding="utf-8"))
PANELS = {panel["title"]: panel["targets"][0]["rawSql"] for panel in DASHBOARD["panels"]}


@pytest.fixture
def history(table: Table) -> list[str]:
    """Rows of all kinds that the plugin wrote."""
    table.standin.rule("/hook/team", reply={"status": 503, "body": ""}, times=1)
    table.standin.rule("/hook/team", reply={"status": 404, "body": "no"}, times=1)
    silence = "[[silences]]\nname = 'night'\nmatch = { level = 'info' }\nuntil = 2099-01-01T00:00:00Z\n"
    numbers = "from_number = '+15005550001', to_number = '+15005550006'"
    phone = f"{{ sid = 'AC0123456789abcdef0123456789abcdef', token = 't', {numbers} }}"
    settings = f'history_table = "notifications"\ntwilio_base_url = "{table.standin.url}"'
    table.configure(settings, f"{silence}[receivers.phone]\nsms = {phone}\n")
    table.engine.create_trigger("r", spec="request:r", arguments={"config_file_path": table.file})

    def notify(text: str, level: str, *receivers: str) -> None:
        body = {"notification_text": text, "level": level, "receivers": receivers}
        body |= {"title": text.upper(), "dedup_key": text, "status": "firing"}
        harness.post(table.engine, body, route="r")

    notify("a", "critical", "oncall", "team", "phone")
    notify("b", "warning", "team")
    notify("c", "info", "oncall")
    for number in range(20):
        notify(f"d{number}", "error", "oncall")
    harness.eventually(lambda: len(table.history()) == 25)
    return table.history()


def run(database: datafusion.SessionContext, sql: str) -> list[dict[str, Any]]:
    """The rows of a query, without times, because Python has no nanoseconds."""
    table = database.sql(sql).to_arrow_table()
    times = [field.name for field in table.schema if pa.types.is_timestamp(field.type)]
    found: list[dict[str, Any]] = table.drop_columns(times).to_pylist()
    return found


def test_every_column_of_the_page_is_written_and_no_other(history: list[str]) -> None:
    documented = set(re.findall(r"^- `(\w+)` \((?:tag|string|integer|timestamp)\):", PAGE, re.MULTILINE))
    written = {name for line in history for name in parse_line(line).columns}
    # Only routes and alert state write these: tests/rows/test_history.py has them.
    assert documented - written == {"time", "route", "group_key", "kind"}
    assert written <= documented


def test_each_query_on_the_page_gives_the_documented_result(history: list[str]) -> None:
    database = session(history)
    failures, rates, times, suppressed, last, notified = [run(database, sql) for sql in QUERIES]
    assert [(row["outcome"], row["reason"], row["http_status"]) for row in failures] == [
        ("failed", "unknown_destination", 404)
    ]
    by_sender = {row["sender"]: (row["deliveries"], row["delivered_percent"]) for row in rates}
    assert by_sender == {"http": (23, 95.65), "sms": (1, 100.0)}
    assert {row["sender"]: row["deliveries"] for row in times} == {"http": 22, "sms": 1}
    assert all(row["p50_ms"] <= row["p99_ms"] <= row["longest_ms"] for row in times)
    assert [(row["rule"], row["level"], row["notifications"]) for row in suppressed] == [("night", "info", 1)]
    assert len(last) in (2, 3)
    assert {(row["receiver"], row["status"]) for row in notified} == {
        (name, "firing") for name in ("oncall", "team", "phone")
    }


def test_every_panel_of_the_dashboard_gets_data(history: list[str]) -> None:
    database = session(history)
    now = datetime.now(UTC)
    since, until = (
        f"cast('{moment:%Y-%m-%dT%H:%M:%SZ}' as timestamp)" for moment in (now - timedelta(1), now + timedelta(1))
    )
    responses = {}
    for title, sql in PANELS.items():
        # Grafana's expansion of its macros for InfluxDB with SQL.
        sql = sql.replace("$__timeFilter(time)", f"time >= {since} AND time <= {until}")
        sql = sql.replace("$__dateBin(time)", "date_bin(interval '60 second', time, timestamp '1970-01-01T00:00:00Z')")
        assert "$" not in sql
        responses[title] = run(database, sql)
    assert all(responses.values()), [title for title, rows in responses.items() if not rows]
    assert round(responses["Delivered"][0]["delivered"], 2) == 95.83
    assert responses["Failed or ambiguous"] == [{"deliveries": 1}]
    assert responses["Suppressed"] == [{"deliveries": 1}]


def test_the_dashboard_names_its_data_source_and_its_panels_do_not_overlap() -> None:
    [variable] = DASHBOARD["templating"]["list"]
    assert (variable["type"], variable["query"]) == ("datasource", "influxdb")
    cells: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        assert panel["datasource"]["uid"] == "${datasource}"
        position = panel["gridPos"]
        panel_cells = {
            (x, y)
            for x in range(position["x"], position["x"] + position["w"])
            for y in range(position["y"], position["y"] + position["h"])
        }
        assert not panel_cells & cells
        assert max(x for x, _ in panel_cells) < 24
        cells |= panel_cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_the_telegraf_configuration_reads_the_metrics_view(triggers: Triggers) -> None:
    config = tomllib.loads((ROOT / "examples" / "telegraf-metrics.conf").read_text(encoding="utf-8"))
    [source] = config["inputs"]["prometheus"]
    [url] = source["urls"]
    path, _, query = url.partition("/api/v3/engine/notify")
    assert (path, query) == ("http://localhost:8181", "?view=metrics")
    response = triggers.create().notify(b"", method="GET", query={"view": "metrics"})
    families = list(prometheus_client.parser.text_string_to_metric_families(response.text))
    assert "notifier_history_rows_dropped" in {family.name for family in families}
    assert config["outputs"]["influxdb_v2"]
