"""Two notifiers and a worker on one stream are killed at random, and servers of a cluster; nothing is lost."""

import os
import random
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.faults.load import Notifier, Worker, accounted_for, until_all_have_ended
from tests.faults.site import HOOK, MESSAGES
from tests.faults.streams import Streams
from tests.harness import Standin, eventually
from tests.harness.nats import Cluster, NatsServer

KILLS = int(os.environ.get("OUTBOX_KILLS", "5"))
"""``make soak`` asks for a hundred, and for twenty of servers."""
SERVER_KILLS = int(os.environ.get("NATS_KILLS", "1"))


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Ends what was begun."""
    with ExitStack() as stack:
        yield stack


@pytest.mark.timeout(180 + 10 * KILLS)
def test_row_41_two_notifiers_and_a_worker_killed_at_random_lose_nothing_and_send_no_sms_twice(
    tmp_path: Path, standin: Standin, stack: ExitStack
) -> None:
    chance = random.Random(14)  # noqa: S311
    standin.rule(HOOK, delay_ms=3)
    standin.rule(MESSAGES, method="POST", delay_ms=3)
    server = stack.enter_context(NatsServer(tmp_path / "nats"))
    sites = []
    for name in ("one", "other"):
        # Each with a directory of its own, as on machines of their own.
        (tmp_path / name).mkdir()
        sites.append(Streams(tmp_path / name, standin, stack, server))
    site = sites[0]
    processes: list[Any] = [*(Notifier(site, stack, site.directory.name) for site in sites), Worker(site)]
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


@pytest.mark.timeout(180 + 20 * SERVER_KILLS)
def test_a_server_of_the_cluster_is_killed_or_falls_silent_and_comes_back_and_nothing_is_lost(
    tmp_path: Path, standin: Standin, stack: ExitStack
) -> None:
    chance = random.Random(3)  # noqa: S311
    cluster = stack.enter_context(Cluster(tmp_path / "cluster"))
    site = Streams(tmp_path, standin, stack, cluster.servers[0])
    site.use(cluster.url)
    notifier = Notifier(site, stack)
    Worker(site)
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
