"""Sharing of connections and lookups: a hanging server delays no other notification, and descriptors are bounded."""

import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.channels.mailserver import MailServer, SmtpRule, SmtpState, ca_file
from tests.faults.isolation import TooLateError, best_of_three
from tests.faults.process_usage import notifier_threads, open_descriptors
from tests.harness import ROOT, ProcessEngine, Response, Standin, Trigger, Triggers, eventually
from tests.harness.preload import preloaded

CONNECTIONS = 64
MAX_LOOKUPS = 128
SOON = 1.0
"""The maximum duration of a notification beside a hanging server, in seconds, on a busy machine."""

Start = Callable[..., tuple[ProcessEngine, Triggers]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts an engine in a separate process, with fake names below ``.test``."""
    environment = preloaded(ROOT / "tests" / "faults" / "names.c", tmp_path) | {"SSL_CERT_FILE": ca_file()}
    with ExitStack() as stack:

        def started(descriptors: int | None = None) -> tuple[ProcessEngine, Triggers]:
            engine = ProcessEngine(tmp_path, environment=environment, descriptors=descriptors)
            stack.enter_context(engine)
            return engine, Triggers(engine, stack)

        yield started


def port(url: str) -> str:
    """The host and port of the stand-in's address."""
    found = re.search(r":(\d+)", url)
    assert found is not None
    return found.group(1)


def to(*urls: str, text: str = "x") -> dict[str, Any]:
    """A request to webhooks."""
    return {"notification_text": text, "senders_config": {"http": [{"http_webhook_url": url} for url in urls]}}


def mails(server: MailServer, *recipients: str) -> dict[str, Any]:
    """A request to mailboxes of one server."""
    email = {"email_host": "localhost", "email_port": server.port, "email_from": "alerts@example.com"}
    return {"notification_text": "x", "senders_config": {"email": [{**email, "email_to": list(recipients)}]}}


def delivered_soon(trigger: Trigger, *requests: dict[str, Any]) -> None:
    """All of these are delivered, and soon."""
    for request in requests:
        response = trigger.notify(request)
        outcomes = {entry["outcome"] for entry in response.json["deliveries"]}
        if response.elapsed > SOON or "pending" in outcomes:
            raise TooLateError(f"{response.elapsed:.3f} s: {response.text[:300]}")
        assert outcomes == {"delivered"}, response.text


@best_of_three
@pytest.mark.parametrize("hosts", ["one", "many"])
def test_640_destinations_that_hang_delay_no_other_notification(start: Start, standin: Standin, hosts: str) -> None:
    _, triggers = start()
    silent = standin.fault("silent")
    arguments = {"max_connections": str(CONNECTIONS), "attempt_timeout": "2s", "delivery_timeout": "1min"}
    trigger = triggers.create({**arguments, "response_timeout": "1500ms"})
    at_once = triggers.create({**arguments, "response_timeout": "0s"})
    address = f"http://silent.test:{silent['port']}/hook/" if hosts == "one" else "http://silent-{}.test:{}/hook/"
    urls = [address.format(n, silent["port"]) + str(n) for n in range(640)]
    assert at_once.notify(to(*urls)).json["results"] == {"http": "pending"}
    healthy = [f"http://healthy-{n}.test:{port(standin.url)}/hook/healthy" for n in range(100)]
    started = time.monotonic()
    while (n := int((time.monotonic() - started) * 10)) < 25:
        # In the first wave the hanging servers are unknown. Later some are known.
        delivered_soon(trigger, to(healthy[n], text=str(n)), to(*healthy[n + 1 : n + 9], text=f"few {n}"))
        time.sleep(0.2)
        assert standin.fault_report(silent["port"])["connections"] > 0
    if hosts == "one":
        # One request, of which one destination works.
        response = trigger.notify(to(*urls, f"http://other.test:{port(standin.url)}/hook/other", text="both"))
        assert response.json["deliveries"][-1]["outcome"] == "delivered"


@best_of_three
def test_mails_to_a_server_that_is_silent_after_the_final_dot_fail_no_other_notification(
    start: Start, standin: Standin
) -> None:
    _, triggers = start()
    silent, healthy = MailServer(smtp_state=SmtpState([SmtpRule("MESSAGE", "250 Ok", after=8)])), MailServer()
    arguments = {"max_connections": str(CONNECTIONS), "delivery_timeout": "1s", "attempt_timeout": "1s"}
    trigger = triggers.create({**arguments, "response_timeout": "1500ms"})
    at_once = triggers.create({**arguments, "response_timeout": "0s"})
    at_once.notify(mails(silent, *(f"r{n}@example.com" for n in range(CONNECTIONS))))
    eventually(
        lambda: len(silent.smtp_state.mails) >= CONNECTIONS // 8, "an eighth of the mails wait for the last reply"
    )
    delivered_soon(
        trigger,
        to(f"{standin.url}/hook/beside"),
        mails(healthy, *(f"h{n}@example.com" for n in range(8))),
        to(*(f"{standin.url}/hook/beside/{n}" for n in range(40))),
    )
    at_once.wait_for_log("no connection was free in time", timeout=5)
    assert len(silent.smtp_state.mails) == CONNECTIONS // 8, "no mail of which nobody knows was begun without need"


@best_of_three
@pytest.mark.parametrize("count", [64, 1000])
def test_names_that_hang_in_the_resolver_delay_no_name_that_works(start: Start, standin: Standin, count: int) -> None:
    engine, triggers = start()
    here = port(standin.url)
    trigger = triggers.create({"response_timeout": "1500ms"})
    at_once = triggers.create({"response_timeout": "0s", "delivery_timeout": "20s"})
    delivered_soon(trigger, to(f"http://known.test:{here}/hook/known"))
    at_once.notify(to(*(f"http://hang-{n}.test:{here}/hook/{n}" for n in range(count))))
    for n in range(4):
        delivered_soon(trigger, to(f"http://new-{n}.test:{here}/hook/new"), to(f"http://known.test:{here}/hook/{n}"))
        time.sleep(0.5)
    assert notifier_threads(engine.pid) <= MAX_LOOKUPS + 8


class Watched:
    """Samples how many descriptors a process has open."""

    def __init__(self, pid: int) -> None:
        self.before = self.most = open_descriptors(pid)
        self._pid = pid
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self._ended.wait(0.005):
            self.most = max(self.most, open_descriptors(self._pid))

    def __enter__(self) -> "Watched":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(5)


def test_idle_and_active_connections_stay_within_max_connections(start: Start, standin: Standin) -> None:
    """A process with the usual 1,024 descriptors notifies 1,500 hosts that keep their connections open."""
    engine, triggers = start(1024)
    limit = 1024 // 8
    trigger = triggers.create({"response_timeout": "4500ms"})
    here = port(standin.url)

    def notify(hosts: Sequence[str], text: str) -> Response:
        return trigger.notify(to(*(f"http://{host}.test:{here}/hook/kept" for host in hosts), text=text))

    notify(["warm"], "warm")
    with Watched(engine.pid) as watched:
        # One host with the maximum number of connections, then others, which need the idle connections.
        for text in ("first", "second"):
            urls = (f"http://one.test:{here}/hook/one/{n}" for n in range(1000))
            assert trigger.notify(to(*urls, text=text)).json["results"] == {"http": True}
        task = notify([f"host-{n}" for n in range(1500)], "hosts").json["task_id"]
        ended = re.compile(rf"{task}.*delivered in")
        eventually(lambda: sum(bool(ended.search(line)) for _, line in trigger.log_lines()) == 1500)
        for text in ("third", "fourth"):
            assert notify([f"host-{n}" for n in range(20)], text).json["results"] == {"http": True}
    # The engine host has a socket for each request. At most 64 look-ups run at once, each with a file.
    assert watched.most - watched.before <= limit + 32 + 64, watched.most
    one = [request["connection"] for request in standin.requests("/hook/one/")]
    assert len(one) == 2000
    assert len(set(one)) <= 2 * limit, "connections are used again"
    kept = [request["connection"] for request in standin.requests("/hook/kept")]
    assert len(kept) == 1 + 1500 + 40
