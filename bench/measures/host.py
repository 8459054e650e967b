"""P3 and P4: requests a second through the engine host, over a plugin that returns at once and the Python plugin."""

import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.checks import check_answers
from bench.messages import slack
from bench.processes import PLUGIN_FILES, Contender, Program
from bench.rows import APPRISE, HTTPX, LIMIT, NOOP, OURS
from bench.run import Run
from tests.harness import http_request

ROUTES = {OURS: "notify", NOOP: "noop", HTTPX: "httpx", APPRISE: "apprise"}
SLOW_REQUESTS = 80
"""Requests to plugins that take milliseconds each."""


@contextmanager
def engine_host() -> Iterator[str]:
    """An engine host in a process of its own with a trigger for each plugin; gives its address."""
    with tempfile.TemporaryDirectory() as directory:
        for name, route in ROUTES.items():
            shutil.copy(PLUGIN_FILES[name], Path(directory) / f"{route}.py")
        command = [sys.executable, "-m", "tests.engine_host", "--plugin-dir", directory, "--path", "notify.py"]
        with Program([*command, "--until-stdin-closes"]) as host:
            url: str = host.read()["url"]
            for route in ROUTES.values():
                if route != "notify":
                    _create_trigger(url, route)
            yield f"{url}/api/v3/engine"


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
            for name in run.order(OURS, NOOP, HTTPX, APPRISE):
                rate = _load(run, caller, f"{engine}/{ROUTES[name]}", name, callers)
                for row in ("P3", "P4"):
                    run.rows[f"{row} {callers}"].add(name, rate)


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
    count = run.effort.load_requests if name in (OURS, NOOP) else SLOW_REQUESTS
    answer = caller.ask(job | {"count": count})[0]
    check_answers(what, name, count, [answer["delivered"]])
    if name != NOOP:
        run.check_sink(what, name, notification, count)
    return count / (int(answer["wall_ns"]) / 1e9)
