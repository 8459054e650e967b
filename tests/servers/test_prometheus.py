"""A real Prometheus, whose alerting rules send to a trigger as if it were an Alertmanager."""

from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.contract.case import HOST, write_config
from tests.contract.test_alerts import ALONE, messages
from tests.harness import Standin, Triggers, eventually, free_port
from tests.servers.conftest import Start, is_ready, program

PATH = "prometheus/api/v2/alerts"
RULES = """
groups:
  - name: test
    interval: 1s
    rules:
      - alert: TargetDown
        expr: up{job="target"} == 0
        labels: {severity: page, region: eu}
        annotations:
          summary: "{{ $labels.instance }} is down"
          description: "no scrape for a second"
"""


class Target(BaseHTTPRequestHandler):
    """A target without metrics."""

    def do_GET(self) -> None:
        """Answer a scrape."""
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Print nothing."""


@pytest.fixture
def trigger_path(triggers: Triggers, standin: Standin) -> Iterator[str]:
    """The path prefix of a trigger with alert state."""
    engine = triggers.engine
    text = ALONE.replace(HOST, f"127.0.0.1:{standin.port}")
    arguments = {"config_file_path": str(write_config(engine.plugin_dir, text))}
    engine.create_trigger("prometheus", spec=f"request:{PATH}", arguments=arguments, run_asynchronous=True)
    yield "/api/v3/engine/prometheus"
    engine.delete_trigger("prometheus")


@pytest.fixture
def prometheus(start: Start, triggers: Triggers, trigger_path: str, tmp_path: Path) -> int:
    """A Prometheus that scrapes one target, which is not there; the port of the target."""
    command = program("prometheus", "prometheus")
    port, target = free_port(), free_port()
    host = triggers.engine.url.removeprefix("http://")
    (tmp_path / "rules.yml").write_text(RULES)
    (tmp_path / "prometheus.yml").write_text(
        f"""
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [rules.yml]
scrape_configs:
  - job_name: target
    static_configs: [{{targets: ["127.0.0.1:{target}"]}}]
alerting:
  alertmanagers:
    - path_prefix: {trigger_path}
      authorization: {{credentials: "{triggers.engine.token}"}}
      static_configs: [{{targets: ["{host}"]}}]
"""
    )
    url = f"http://127.0.0.1:{port}"
    options = [f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data"]
    options += [f"--web.listen-address=127.0.0.1:{port}", "--rules.alert.resend-delay=1s"]
    start([command, *options], partial(is_ready, url))
    return target


def test_an_alert_fires_once_and_resolves(prometheus: int, triggers: Triggers, standin: Standin) -> None:
    (firing,) = eventually(lambda: messages(standin), "the alert fires", timeout=30)
    assert (firing["title"], firing["status"]) == (f"127.0.0.1:{prometheus} is down", "firing")
    assert (firing["level"], firing["message"]) == ("critical", "no scrape for a second")
    assert firing["fields"] == {
        "alertname": "TargetDown",
        "instance": f"127.0.0.1:{prometheus}",
        "job": "target",
        "region": "eu",
        "severity": "page",
    }
    calls = len(triggers.engine.logs("prometheus"))
    # Prometheus repeats it each second; a call of the engine writes two lines.
    repeated = calls + 4
    eventually(lambda: len(triggers.engine.logs("prometheus")) >= repeated, "Prometheus repeats the alert", timeout=30)
    assert len(messages(standin)) == 1
    target = HTTPServer(("127.0.0.1", prometheus), Target)
    Thread(target=target.serve_forever, daemon=True).start()
    try:
        found = eventually(lambda: messages(standin)[1:], "the alert resolves", timeout=30)
    finally:
        target.shutdown()
        target.server_close()
    assert [(message["title"], message["status"]) for message in found] == [(firing["title"], "resolved")]
