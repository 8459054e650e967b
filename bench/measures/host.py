"""P3 and P4: requests a second through the engine host, over a plugin that returns at once and the Python plugin.

The engine executes a plugin's file at every call, so the plugin that returns at once is our file without the wheel:
what a file of this size costs the engine stands on both sides (P2 has it apart). A file of ten lines is measured
besides.
"""

import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from bench.checks import check_answers
from bench.messages import slack
from bench.processes import PLUGIN_FILES, Contender, Program
from bench.rows import APPRISE, HTTPX, LIMIT, NOOP, OURS
from bench.run import Run
from tests.harness import http_request

TEN_LINES = "ten lines"
ROUTES = {OURS: "notify", NOOP: "noop", TEN_LINES: "ten", HTTPX: "httpx", APPRISE: "apprise"}
IMPORT = "from influxdb3_notifier import process_request as deliver"
AT_ONCE = """deliver = lambda *_: ('{"status":"success","results":{"slack":true},"deliveries":[]}', 200, {})"""
SLOW_REQUESTS = 80
"""Requests to plugins that take milliseconds each."""


@contextmanager
def engine_host() -> Iterator[str]:
    """An engine host in a process of its own with a trigger for each plugin; gives its address."""
    with tempfile.TemporaryDirectory() as directory:
        for name, route in ROUTES.items():
            (Path(directory) / f"{route}.py").write_text(_source(name), encoding="utf-8")
        command = [sys.executable, "-m", "tests.engine_host", "--plugin-dir", directory, "--path", "notify.py"]
        with Program([*command, "--until-stdin-closes"]) as host:
            url: str = host.read()["url"]
            for route in ROUTES.values():
                if route != "notify":
                    _create_trigger(url, route)
            yield f"{url}/api/v3/engine"


def _source(name: str) -> str:
    if name != NOOP:
        return PLUGIN_FILES[NOOP if name == TEN_LINES else name].read_text(encoding="utf-8")
    ours = PLUGIN_FILES[OURS].read_text(encoding="utf-8")
    if IMPORT not in ours:
        raise RuntimeError(f"notifier_plugin.py has no line {IMPORT!r}")
    return ours.replace(IMPORT, AT_ONCE)


def _create_trigger(url: str, route: str) -> None:
    trigger = {
        "name": route,
        "path": f"{route}.py",
        "spec": f"request:{route}",
        "arguments": None,
        "run_asynchronous": True,
    }
    http_request("POST", f"{url}/_host/triggers", body=json.dumps(trigger).encode())


def throughput(run: Run) -> None:
    """One caller and 16, each sending its next request when it has the answer to the last."""
    with engine_host() as engine, Contender(LIMIT) as caller:
        for callers in (1, 16):
            for name in run.order(OURS, NOOP, TEN_LINES, HTTPX, APPRISE):
                rate = _load(run, caller, f"{engine}/{ROUTES[name]}", name, callers)
                for number in ("P3", "P4"):
                    run.rows[f"{number} {callers}"].add(name, rate)
            row = run.rows[f"P3 {callers}"]
            over = median(a / b for a, b in zip(row.samples[OURS], row.samples[TEN_LINES], strict=True))
            row.note = f"a plugin of ten lines: {median(row.samples[TEN_LINES]):.0f} a second; ours over it: {over:.2f}"


def _load(run: Run, caller: Contender, url: str, name: str, callers: int) -> float:
    what = f"P3 {callers}"
    notification = slack(run.sink, 0)
    message = {
        "url": url,
        "headers": {"content-type": "application/json"},
        "body": json.dumps(notification.request),
    }
    job = {"do": "load", "request": message, "callers": callers, "expect": '"slack":true'}
    caller.ask(job | {"count": 2 * callers})
    run.standin.clear()
    count = SLOW_REQUESTS if name in (HTTPX, APPRISE) else run.effort.load_requests
    answer = caller.ask(job | {"count": count})[0]
    check_answers(what, name, count, [answer["delivered"]])
    if name not in (NOOP, TEN_LINES):
        run.check_sink(what, name, notification, count)
    return count / (int(answer["wall_ns"]) / 1e9)
