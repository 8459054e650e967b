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
from dataclasses import replace
from pathlib import Path
from statistics import median

from bench.checks import check_answers, check_arrivals
from bench.messages import TEXT, slack
from bench.processes import PLUGIN_FILES, PLUGINS, Contender, Program
from bench.rows import APPRISE, HTTPX, LIMIT, NOOP, OURS
from bench.run import Run
from tests.harness import http_request

TEN_LINES, PAUSE = "ten lines", "pause"
"""Plugins that are measured besides: a file of ten lines, and ours with a pause of 0.1 ms in the wheel's place."""
ROUTES = {OURS: "notify", NOOP: "noop", TEN_LINES: "ten", PAUSE: "pause", HTTPX: "httpx", APPRISE: "apprise"}
LOADING = """wheel = modules.get("influxdb3_notifier")
if not hasattr(wheel, "process_writes"):
    exec(LOAD)
"""
ANSWER = """('{"status":"success","results":{"slack":true},"deliveries":[]}', 200, {})"""
IN_PLACE = {
    NOOP: f"class wheel: process_request = lambda *_: {ANSWER}",
    PAUSE: f"from time import sleep\nclass wheel: process_request = lambda *_: sleep(0.0001) or {ANSWER}",
}
"""What stands in our file where the wheel is loaded."""
SLOW_REQUESTS = 80
"""Requests to plugins that take milliseconds each."""
TURNS = 10
"""So often the others take turns in a round."""


@contextmanager
def engine_host() -> Iterator[str]:
    """An engine host in a process of its own with a trigger for each plugin; gives its address."""
    with tempfile.TemporaryDirectory() as directory:
        for name, route in ROUTES.items():
            (Path(directory) / f"{route}.py").write_text(_source(name), encoding="utf-8")
        command = [sys.executable, "-m", "tests.engine_host", "--plugin-dir", directory, "--path", "notify.py"]
        with Program([*command, "--without-auth", "--until-stdin-closes"]) as host:
            url: str = host.read()["url"]
            for route in ROUTES.values():
                if route != "notify":
                    _create_trigger(url, route)
            yield f"{url}/api/v3/engine"


def _source(name: str) -> str:
    if name not in IN_PLACE:
        path = PLUGINS / "ten_lines.py" if name == TEN_LINES else PLUGIN_FILES[name]
        return path.read_text(encoding="utf-8")
    ours = PLUGIN_FILES[OURS].read_text(encoding="utf-8")
    if LOADING not in ours:
        raise RuntimeError(f"notifier_plugin.py has no lines {LOADING!r}")
    return ours.replace(LOADING, IN_PLACE[name])


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
            # The peers take milliseconds a request: fewer will do, in one turn.
            rates = {name: [_load(run, caller, engine, name, callers, SLOW_REQUESTS)] for name in (HTTPX, APPRISE)}
            fast = (OURS, NOOP, TEN_LINES, PAUSE)
            count = run.effort.load_requests // TURNS
            for name in [name for _ in range(TURNS) for name in run.order(*fast)]:
                rates.setdefault(name, []).append(_load(run, caller, engine, name, callers, count))
            for name, taken in rates.items():
                for number in ("P3", "P4"):
                    run.rows[f"{number} {callers}"].add(name, median(taken))
            samples = run.rows[f"P3 {callers}"].samples
            run.rows[f"P3 {callers}"].note = (
                f"over a plugin of ten lines ours reaches {_ratio(samples, OURS, TEN_LINES)}; one that only lets the "
                f"interpreter go for 0.1 ms reaches {_ratio(samples, PAUSE, NOOP)} of no-op"
            )


def _ratio(samples: dict[str, list[float]], one: str, other: str) -> str:
    return f"{median(a / b for a, b in zip(samples[one], samples[other], strict=True)):.2f}"


def _load(run: Run, caller: Contender, engine: str, name: str, callers: int, count: int) -> float:
    """Requests a second to one plugin."""
    what = f"P3 {callers}"
    # Those that meet in flight would be one, were they the same.
    notification = replace(slack(run.sink, 0), text=f"{TEXT} @number@")
    message = {
        "url": f"{engine}/{ROUTES[name]}",
        "headers": {"content-type": "application/json"},
        "body": json.dumps(notification.request),
    }
    job = {"do": "load", "request": message, "callers": callers, "expect": '"slack":true'}
    caller.ask(job | {"count": 2 * callers})
    run.standin.clear()
    answer = caller.ask(job | {"count": count})[0]
    check_answers(what, name, count, [answer["delivered"]])
    if name not in (NOOP, TEN_LINES, PAUSE):
        check_arrivals(what, name, count, run.standin.sink()["requests"])
    return count / (int(answer["wall_ns"]) / 1e9)
