"""P12 and P14: notifications with an outbox, and workers that deliver from a stream."""

import json
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

from bench.checks import RefusedError, check_answers, check_arrivals
from bench.messages import TEXT
from bench.processes import Contender, engine_host, environment
from bench.rows import LIMIT, MEMORY, OURS
from bench.run import Run
from tests.harness import eventually, free_port, http_request

CALLERS = 16
WORKERS = (1, 2, 4)
LATENCIES = {"fast": 0, "slow": 100}
"""The latency of the destination of P14, in milliseconds."""
NATS_SERVER = Path(sysconfig.get_path("scripts")) / "nats-server"


@contextmanager
def nats_server(directory: Path) -> Iterator[str]:
    """One server with JetStream on loopback; gives its address."""
    port, monitor = free_port(), free_port()
    (directory / "nats.conf").write_text(
        f'listen: "127.0.0.1:{port}"\nhttp: "127.0.0.1:{monitor}"\njetstream {{ store_dir: "{directory}/store" }}\n'
    )
    process = subprocess.Popen(
        [NATS_SERVER, "-c", directory / "nats.conf"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        eventually(lambda: _answers(f"http://127.0.0.1:{monitor}/healthz"), "NATS is ready", timeout=20)
        yield f"nats://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def _answers(url: str) -> bool:
    try:
        return http_request("GET", url, timeout=2).status == 200
    except OSError:
        return False


@contextmanager
def trigger(directory: Path, settings: str, hook: str) -> Iterator[str]:
    """An engine host with one trigger and a configuration file; gives the trigger's address."""
    config = directory / "notifier.toml"
    config.write_text(f'[settings]\n{settings}\n[receivers.hook.http]\nwebhook_url = "{hook}"\n', encoding="utf-8")
    with engine_host(directory) as host:
        yield host.create_trigger("kept", "notify.py", {"config_file_path": str(config)})


def accepted(run: Run) -> None:
    """P12: 16 callers. Each waits for the response before its next notification. All notifications are delivered."""
    count = run.scale.load_requests
    without = 0.0
    for row, outbox in (("P12", None), ("P12 file", "{directory}/outbox.db"), ("P12 streams", "{nats}")):
        with ExitStack() as stack:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            nats = stack.enter_context(nats_server(directory)) if row == "P12 streams" else ""
            place = f'outbox = "{outbox.format(directory=directory, nats=nats)}"' if outbox else ""
            engine = stack.enter_context(trigger(directory, place, f"{run.sink}/sink/0/hook/0"))
            caller = stack.enter_context(Contender(LIMIT))
            rate = _load(run, caller, row, engine, count)
        if outbox is None:
            without = rate
        else:
            run.rows[row].add(OURS, rate)
            run.rows[row].add(MEMORY, without)


def _load(run: Run, caller: Contender, row: str, engine: str, count: int) -> float:
    """Notifications per second. The sink has received all of them."""
    caller.ask(_job(engine, 2 * CALLERS, '"hook":true'))
    run.standin.clear()
    answer = caller.ask(_job(engine, count, '"hook":true'))[0]
    check_answers(row, OURS, count, [answer["delivered"]])
    check_arrivals(row, OURS, count, run.standin.sink()["requests"])
    return float(count / (int(answer["wall_ns"]) / 1e9))


def _job(engine: str, count: int, expect: str) -> dict[str, object]:
    """Different notifications: equal ones would be deduplicated while in flight."""
    body = json.dumps({"notification_text": f"{TEXT} @number@", "receivers": ["hook"]})
    message = {"url": engine, "headers": {"content-type": "application/json"}, "body": body}
    return {"do": "load", "request": message, "callers": CALLERS, "expect": expect, "count": count}


def workers(run: Run) -> None:
    """P14: one, two and four workers deliver the messages of a stream to one destination."""
    for name, latency in LATENCIES.items():
        for number in run.rotated(*WORKERS):
            with ExitStack() as stack:
                rate = _by_workers(run, stack, latency, number)
            run.rows[f"P14 {name} {number}"].add(OURS, rate)
        one = median(run.rows[f"P14 {name} 1"].samples[OURS])
        for number in WORKERS[1:]:
            row = run.rows[f"P14 {name} {number}"]
            row.note = f"{median(row.samples[OURS]) / one:.2f} × one worker"


def _by_workers(run: Run, stack: ExitStack, latency: int, number: int) -> float:
    count = run.scale.load_requests // 4 if latency else run.scale.load_requests
    directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    nats = stack.enter_context(nats_server(directory))
    settings = f'outbox = "{nats}"\ndelivered_by = "workers"'
    hook = f"{run.sink}/sink/{latency}/hook/0"
    with trigger(directory, settings, hook) as engine, ExitStack() as posting:
        caller = posting.enter_context(Contender(LIMIT))
        answer = caller.ask(_job(engine, count, '"hook":"pending"'))[0]
        check_answers("P14", OURS, count, [answer["delivered"]])
    run.standin.clear()
    for _ in range(number):
        _start_worker(stack, directory)
    seen = [(time.monotonic(), 0)]
    deadline = time.monotonic() + 120
    while seen[-1][1] < count:
        if time.monotonic() > deadline:
            raise RefusedError(f"P14: {seen[-1][1]} of {count} had arrived after two minutes")
        time.sleep(0.01)
        seen.append((time.monotonic(), int(run.standin.sink()["requests"])))
    # When all of them are at work: from the second tenth on to the eighth.
    first = next(entry for entry in seen if entry[1] >= count * 2 // 10)
    last = next(entry for entry in seen if entry[1] >= count * 8 // 10)
    return (last[1] - first[1]) / (last[0] - first[0])


def _start_worker(stack: ExitStack, directory: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "influxdb3_notifier", "worker", "--config", str(directory / "notifier.toml")],
        stderr=subprocess.DEVNULL,
        env=environment(),
    )
    stack.callback(process.wait)
    stack.callback(process.kill)
