"""A stopped, disconnected or badly clocked process: another one takes over without duplicates or loss."""

import re
import signal
import struct
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.faults.site import HOOK, MESSAGES, arrived, to
from tests.faults.streams import Streams, until_line
from tests.harness import ROOT, ProcessEngine, Standin, Trigger, eventually
from tests.harness.cable import Cable
from tests.harness.nats import NatsServer
from tests.harness.preload import preloaded

HANDED_ON = "left to the process that took it over"
COUNT = 6


@pytest.fixture
def site(tmp_path: Path, standin: Standin, stack: ExitStack, server: NatsServer) -> Streams:
    """A plugin directory with an outbox on it."""
    return Streams(tmp_path, standin, stack, server)


@pytest.fixture
def other(tmp_path: Path, standin: Standin, stack: ExitStack, server: NatsServer) -> Streams:
    """The plugin directory of another machine, with the same outbox."""
    (tmp_path / "other").mkdir()
    return Streams(tmp_path / "other", standin, stack, server)


def counts(standin: Standin) -> tuple[Counter[str], Counter[str]]:
    """How often each text has come to the webhook, and to the telephone."""
    hooks = Counter(body["message"] for body in standin.bodies(HOOK))
    phones = Counter(str(message["text"]) for message in standin.messages() if message["provider"] == "twilio")
    return hooks, phones


def once(texts: list[str]) -> Counter[str]:
    """Each of them has come once."""
    return Counter(dict.fromkeys(texts, 1))


@contextmanager
def stopped(engine: ProcessEngine, site: Streams) -> Iterator[None]:
    """Stop a process, as a container that is paused, for longer than its lease."""
    engine.process.send_signal(signal.SIGSTOP)
    try:
        site.lapse()
        yield
    finally:
        engine.process.send_signal(signal.SIGCONT)


def pause_sms(standin: Standin, seconds: int) -> None:
    """Let the provider refuse the next SMS, so that all that come later wait."""
    limited = {"status": 429, "headers": [["Retry-After", str(seconds)]]}
    standin.rule(MESSAGES, method="POST", reply=limited, times=1)


def keep_waiting(
    trigger: Trigger,
    standin: Standin,
    texts: list[str],
    receivers: tuple[str, ...] = ("phone",),
    seconds: int = 5,
) -> None:
    """Send notifications whose SMS wait, because the provider rate limits the first one."""
    pause_sms(standin, seconds)
    for text in texts:
        response = trigger.notify({"notification_text": text, "receivers": list(receivers), "idempotency_key": text})
        assert response.json["results"]["phone"] == "pending"
        trigger.wait_for_log("rate_limited")


def until_handed_on(trigger: Trigger, count: int) -> None:
    """Until a process has noticed that its deliveries are another's."""
    eventually(
        lambda: sum(HANDED_ON in text for _, text in trigger.log_lines()) >= count,
        f"{count} are handed on",
        timeout=40,
    )


def test_a_process_cut_off_from_nats_sends_no_sms_again(
    site: Streams, other: Streams, standin: Standin, stack: ExitStack
) -> None:
    texts = [f"text {n}" for n in range(COUNT)]
    cable = stack.enter_context(Cable(site.server.port))
    site.use(cable.url)
    _, trigger = site.start({"response_timeout": "100ms"})
    keep_waiting(trigger, standin, texts)
    cable.cut()
    # Its attempts cannot be stored, so its requests are sent later.
    time.sleep(6)
    assert counts(standin)[1] == Counter()
    site.lapse()
    other.worker()
    eventually(lambda: len(counts(standin)[1]) == COUNT, "all are sent", timeout=30)
    eventually(lambda: site.server.messages() == 0, "all have ended")
    cable.heal()
    until_handed_on(trigger, COUNT)
    assert counts(standin)[1] == once(texts)


def test_a_stopped_process_leaves_deliveries_that_another_recovered(
    site: Streams, other: Streams, standin: Standin
) -> None:
    texts = [f"text {n}" for n in range(COUNT)]
    engine, trigger = site.start({"response_timeout": "100ms", "rate_limit": "1/1s"})
    keep_waiting(trigger, standin, texts, ("hook", "phone"))
    # One webhook has left before the rate limit.
    arrived(standin, HOOK, 1)
    with stopped(engine, site):
        other.worker()
        eventually(lambda: [len(found) for found in counts(standin)] == [COUNT, COUNT], "all are sent", timeout=30)
        eventually(lambda: site.server.messages() == 0, "all have ended")
    until_handed_on(trigger, 2 * COUNT - 1)
    assert counts(standin) == (once(texts), once(texts))


def test_the_process_with_the_last_delivery_completes_the_request(
    site: Streams, other: Streams, standin: Standin
) -> None:
    texts = [f"text {n}" for n in range(COUNT)]
    engine, trigger = site.start({"response_timeout": "100ms"})
    keep_waiting(trigger, standin, texts, ("hook", "phone"))
    arrived(standin, HOOK, COUNT)
    pause_sms(standin, 6)
    with stopped(engine, site):
        worker = other.worker()
        until_line(worker, "next attempt in")
    until_handed_on(trigger, COUNT)
    eventually(lambda: len(counts(standin)[1]) == COUNT, "all are sent", timeout=30)
    eventually(lambda: site.server.messages() == 0, "all have ended")
    assert counts(standin) == (once(texts), once(texts))


@pytest.mark.timeout(120)
def test_a_process_recovers_deliveries_that_another_recovered_and_released(
    site: Streams, other: Streams, standin: Standin
) -> None:
    standin.rule(HOOK, reply={"status": 503}, times=3)
    engine, trigger = site.start({"response_timeout": "100ms", "initial_backoff": "2s", "max_backoff": "2s"})
    assert trigger.notify(to("hook")).json["results"] == {"hook": "pending"}
    arrived(standin, HOOK, 1)
    with stopped(engine, site):
        worker = other.worker("--argument", "initial_backoff=1h", "--argument", "max_backoff=1h")
        until_line(worker, "next attempt in")
        worker.kill()
        worker.wait()
    until_handed_on(trigger, 1)
    site.lapse()
    trigger.wait_for_log("delivered in", timeout=40)
    assert site.server.messages() == 0


@pytest.fixture
def clock(tmp_path: Path) -> tuple[Mapping[str, str], Path]:
    """Variables for processes with a clock offset, and the file with the offset in seconds."""
    offset = tmp_path / "offset"
    set_clock(offset, 0)
    return preloaded(ROOT / "tests" / "faults" / "clock.c", tmp_path) | {"CLOCK_OFFSET": str(offset)}, offset


def set_clock(offset: Path, seconds: int) -> None:
    """Let the clock jump."""
    with offset.open("r+b" if offset.exists() else "wb") as file:
        file.write(struct.pack("=q", seconds))


HOUR = 3600


@pytest.mark.parametrize("jump", [-25 * HOUR, 40 * 24 * HOUR])
def test_a_clock_that_jumps_changes_no_lease_and_no_deadline(
    site: Streams, standin: Standin, clock: tuple[Mapping[str, str], Path], jump: int
) -> None:
    environment, offset = clock
    _, trigger = site.start({"response_timeout": "100ms"}, environment=environment)
    texts = [f"text {n}" for n in range(COUNT)]
    keep_waiting(trigger, standin, texts, seconds=2)
    set_clock(offset, jump)
    eventually(lambda: len(counts(standin)[1]) == COUNT, "all are sent", timeout=20)
    eventually(lambda: site.server.messages() == 0, "all have ended")
    for text in texts:
        assert trigger.notify(to("phone", text, idempotency_key=text)).json["replayed"] is True
    assert counts(standin)[1] == once(texts)


@pytest.mark.parametrize("jump", [-25 * HOUR, 40 * 24 * HOUR])
def test_a_worker_with_a_wrong_clock_delivers_fresh_requests(
    site: Streams, standin: Standin, clock: tuple[Mapping[str, str], Path], jump: int
) -> None:
    environment, offset = clock
    set_clock(offset, jump)
    site.use(site.server.url, 'delivered_by = "workers"')
    _, trigger = site.start()
    texts = [f"text {n}" for n in range(COUNT)]
    for text in texts:
        assert trigger.notify(to("phone", text)).json["results"] == {"phone": "pending"}
    worker = site.worker(environment=environment)
    warning = until_line(worker, "This machine's clock and that of the NATS servers")
    [difference] = re.findall(r"differ by (\d+) s", warning)
    assert abs(int(difference) - abs(jump)) < 5
    eventually(lambda: len(counts(standin)[1]) == COUNT, "all are sent", timeout=20)
    eventually(lambda: site.server.messages() == 0, "all have ended")
    assert site.server.messages("notifier_dead_letters") == 0
    assert counts(standin)[1] == once(texts)
