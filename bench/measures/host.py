"""P3 and P4: requests a second through the engine host, over a plugin of ten lines and the Python plugin.

The engine compiles and executes a plugin's file at every call. The plugin of ten lines shows what the engine costs.
The run also measures our own file without the wheel: then both sides pay for the file's size.
"""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median

from bench.checks import check_answers, check_arrivals
from bench.messages import TEXT, slack
from bench.processes import PLUGIN_FILES, Contender, engine_host
from bench.rows import APPRISE, HTTPX, LIMIT, NOOP, OURS
from bench.run import Run

OWN_FILE, PAUSE = "own file", "pause"
"""Variants of the plugin file with a function in place of the wheel, which returns immediately or after 0.1 ms."""
ROUTES = {OURS: "notify", NOOP: "ten", OWN_FILE: "own", PAUSE: "pause", HTTPX: "httpx", APPRISE: "apprise"}
"""The names of the plugins' routes."""
LOADING = """wheel = modules.get("influxdb3_notifier")
if not hasattr(wheel, "process_writes"):
    exec(LOAD)
"""
"""The lines of the plugin file that load the wheel."""
ANSWER = """('{"status":"success","results":{"slack":true},"deliveries":[]}', 200, {})"""
WHEEL_REPLACEMENTS = {
    OWN_FILE: f"class wheel: process_request = lambda *_: {ANSWER}",
    PAUSE: f"from time import sleep\nclass wheel: process_request = lambda *_: sleep(0.0001) or {ANSWER}",
}
"""The replacements of :data:`LOADING`."""
SLOW_REQUESTS = 80
"""The number of requests to plugins that take milliseconds per request."""
TURNS = 10
"""The number of turns of the other plugins in a round."""


@contextmanager
def triggers() -> Iterator[str]:
    """Start an engine host with a trigger for each plugin; yields the triggers' addresses."""
    with tempfile.TemporaryDirectory() as directory, engine_host(Path(directory)) as host:
        for name, route in ROUTES.items():
            if name != OURS:
                (Path(directory) / f"{route}.py").write_text(_source(name), encoding="utf-8")
                host.create_trigger(route, f"{route}.py")
        yield f"{host.url}/api/v3/engine"


def _source(name: str) -> str:
    if name not in WHEEL_REPLACEMENTS:
        return PLUGIN_FILES[name].read_text(encoding="utf-8")
    ours = PLUGIN_FILES[OURS].read_text(encoding="utf-8")
    if LOADING not in ours:
        raise RuntimeError(f"notifier_plugin.py has no lines {LOADING!r}")
    return ours.replace(LOADING, WHEEL_REPLACEMENTS[name])


def throughput(run: Run) -> None:
    """Measure with 1 and with 16 callers. A caller waits for each response before its next request."""
    with triggers() as engine, Contender(LIMIT) as caller:
        for callers in (1, 16):
            # The peers take milliseconds a request: fewer will do, in one turn.
            rates = {name: [_load(run, caller, engine, name, callers, SLOW_REQUESTS)] for name in (HTTPX, APPRISE)}
            fast = (OURS, NOOP, OWN_FILE, PAUSE)
            count = run.scale.load_requests // TURNS
            for name in [name for _ in range(TURNS) for name in run.rotated(*fast)]:
                rates.setdefault(name, []).append(_load(run, caller, engine, name, callers, count))
            for name, measured in rates.items():
                for number in ("P3", "P4"):
                    run.rows[f"{number} {callers}"].add(name, median(measured))
            samples = run.rows[f"P3 {callers}"].samples
            run.rows[f"P3 {callers}"].note = (
                f"relative to the plugin file without the wheel {_ratio(samples, OURS, OWN_FILE)}; "
                f"the plugin file with a pause of 0.1 ms in place of the wheel reaches {_ratio(samples, PAUSE, NOOP)}"
            )


def _ratio(samples: dict[str, list[float]], one: str, other: str) -> str:
    return f"{median(a / b for a, b in zip(samples[one], samples[other], strict=True)):.2f}"


def _load(run: Run, caller: Contender, engine: str, name: str, callers: int, count: int) -> float:
    """Requests a second to one plugin."""
    what = f"P3 {callers}"
    # Different texts, because equal requests in flight would be one.
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
    if name not in (NOOP, OWN_FILE, PAUSE):
        check_arrivals(what, name, count, run.standin.sink()["requests"])
    return count / (int(answer["wall_ns"]) / 1e9)
