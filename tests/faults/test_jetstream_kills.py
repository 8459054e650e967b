"""Two notifiers and a worker on one stream are killed at random, and servers of a cluster; nothing is lost."""

import http.client
import itertools
import json
import os
import random
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.faults.load import Notifier, WorkerProcess, accounted_for, until_all_have_ended
from tests.faults.site import HOOK, MESSAGES, to
from tests.faults.streams import Streams
from tests.harness import Standin, eventually
from tests.harness.nats import Cluster, NatsServer

KILLS = int(os.environ.get("OUTBOX_KILLS", "5"))
"""``make soak`` asks for a hundred, and for twenty of servers."""
SERVER_KILLS = int(os.environ.get("NATS_KILLS", "1"))


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Cleans up at the end of the test."""
    with ExitStack() as stack:
        yield stack


@pytest.mark.timeout(180 + 10 * KILLS)
def test_two_notifiers_and_a_worker_killed_at_random_lose_nothing_and_send_no_sms_twice(
    tmp_path: Path, standin: Standin, stack: ExitStack
) -> None:
    chance = random.Random(14)  # noqa: S311
    standin.rule(HOOK, delay_ms=3)
    standin.rule(MESSAGES, method="POST", delay_ms=3)
    server = stack.enter_context(NatsServer(tmp_path / "nats"))
    sites = []
    for name in ("one", "other"):
        # Each with a separate directory, as on separate machines.
        (tmp_path / name).mkdir()
        sites.append(Streams(tmp_path / name, standin, stack, server))
    site = sites[0]
    processes: list[Any] = [*(Notifier(site, stack, site.directory.name) for site in sites), WorkerProcess(site)]
    for _ in range(KILLS):
        time.sleep(chance.uniform(0.1, 0.6))
        chance.choice(processes).again()
        server.lapse(as_if_a_minute_had_passed=True)
    accepted = []
    for notifier in processes[:2]:
        eventually(partial(notifier.load.has_more_than, 5), "something is accepted", timeout=30)
        notifier.load.__exit__()
        accepted += notifier.load.accepted
    assert len(accepted) > 5 * KILLS
    until_all_have_ended(server.url, lambda: server.lapse(as_if_a_minute_had_passed=True))
    accounted_for(site, accepted, server.url)


class Alerts:
    """One caller for each dedup key. It sends to the running process."""

    def __init__(self, notifiers: list[Notifier], chance: random.Random) -> None:
        self._notifiers, self._chance = notifiers, chance
        self._stop = threading.Event()
        self.accepted: dict[str, list[int]] = {f"key{number}": [] for number in range(6)}
        """The numbers of the notifications of a key that are on the stream, in their order."""
        self._threads = [threading.Thread(target=self._run, args=(key,), daemon=True) for key in self.accepted]

    def __enter__(self) -> "Alerts":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def _run(self, key: str) -> None:
        for number in itertools.count():
            body = to("hook", f"{key} {number}", dedup_key=key, idempotency_key=f"{key} {number}")
            while not self._stop.is_set():
                try:
                    response = self._chance.choice(self._notifiers).load.trigger.notify(body, timeout=5)
                except (OSError, http.client.HTTPException):
                    # It was killed: the same again, under the same key.
                    time.sleep(0.05)
                    continue
                if response.status == 200:
                    # With this reason it may come to the stream later, or never.
                    if response.json["deliveries"][0]["reason"] != "outbox":
                        self.accepted[key].append(number)
                    break
                time.sleep(0.05)
            if self._stop.is_set():
                return


@pytest.mark.timeout(180 + 10 * KILLS)
def test_two_notifiers_killed_at_random_and_a_worker_deliver_each_key_in_order(
    tmp_path: Path, standin: Standin, stack: ExitStack
) -> None:
    chance = random.Random(4)  # noqa: S311
    standin.rule(HOOK, delay_ms=5)
    server = stack.enter_context(NatsServer(tmp_path / "nats"))
    notifiers = []
    for name in ("one", "other", "third"):
        (tmp_path / name).mkdir()
        site = Streams(tmp_path / name, standin, stack, server)
        if name == "third":
            WorkerProcess(site)
        else:
            notifiers.append(Notifier(site, stack, name, loaded=False))
    with Alerts(notifiers, chance) as alerts:
        for _ in range(KILLS):
            time.sleep(chance.uniform(0.3, 1))
            chance.choice(notifiers).again()
            server.lapse()
    until_all_have_ended(server.url, server.lapse)
    told: dict[str, list[int]] = {key: [] for key in alerts.accepted}
    for request in standin.requests(HOOK):
        key, number = json.loads(request["body"])["message"].split()
        told[key].append(int(number))
    for key, accepted in alerts.accepted.items():
        assert len(accepted) > KILLS
        assert set(accepted) <= set(told[key])
        # One that was under way when its process was killed may be there twice, before all that come later.
        numbers = [number for number in told[key] if number in set(accepted)]
        assert numbers == sorted(numbers), key


@pytest.mark.timeout(180 + 20 * SERVER_KILLS)
def test_a_server_of_the_cluster_is_killed_or_falls_silent_and_comes_back_and_nothing_is_lost(
    tmp_path: Path, standin: Standin, stack: ExitStack
) -> None:
    chance = random.Random(3)  # noqa: S311
    cluster = stack.enter_context(Cluster(tmp_path / "cluster"))
    site = Streams(tmp_path, standin, stack, cluster.servers[0])
    site.use(cluster.url)
    notifier = Notifier(site, stack)
    WorkerProcess(site)
    eventually(lambda: notifier.load.has_more_than(5), "something is accepted", timeout=60)
    for turn in range(SERVER_KILLS):
        server = chance.choice(cluster.servers)
        if turn % 2:
            server.freeze()
        else:
            server.kill()
        before = len(notifier.load.accepted)
        eventually(partial(notifier.load.has_more_than, before + 20), "the others go on", timeout=60)
        if turn % 2:
            server.thaw()
        else:
            server.start()
        before = len(notifier.load.accepted)
        eventually(partial(notifier.load.has_more_than, before + 20), "all go on", timeout=60)
    notifier.load.__exit__()
    until_all_have_ended(cluster.url)
    accounted_for(site, notifier.load.accepted, cluster.url)
