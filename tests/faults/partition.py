"""A network partition of one server of the cluster. ``make soak`` runs this in separate network namespaces.

Nothing here touches the machine's network: all of it is in namespaces that end with the process.
"""

import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from tests.faults.load import Notifier, WorkerProcess, accounted_for, until_all_have_ended
from tests.faults.streams import Streams
from tests.harness import Standin, eventually
from tests.harness.nats import Cluster

TURNS = 3


def ip(*words: object) -> None:
    """Run ``ip`` of iproute2."""
    subprocess.run(["ip", *map(str, words)], check=True)


@pytest.fixture
def places() -> Iterator[list[tuple[str, list[str]]]]:
    """Three network namespaces on a bridge."""
    ip("link", "add", "notifier", "type", "bridge")
    ip("addr", "add", "10.14.0.1/24", "dev", "notifier")
    ip("link", "set", "notifier", "up")
    names = [f"notifier-{number}" for number in range(3)]
    try:
        for number, name in enumerate(names):
            ip("netns", "add", name)
            ip("link", "add", f"veth{number}", "type", "veth", "peer", "name", "eth0", "netns", name)
            ip("link", "set", f"veth{number}", "master", "notifier", "up")
            ip("-n", name, "addr", "add", f"10.14.0.{number + 2}/24", "dev", "eth0")
            ip("-n", name, "link", "set", "eth0", "up")
            ip("-n", name, "link", "set", "lo", "up")
        yield [(f"10.14.0.{number + 2}", ["ip", "netns", "exec", name]) for number, name in enumerate(names)]
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False)


@pytest.mark.timeout(300)
def test_a_server_that_is_cut_off_and_comes_back_loses_nothing(
    tmp_path: Path, standin: Standin, places: list[tuple[str, list[str]]]
) -> None:
    """Disconnects one server of the cluster, and reconnects it."""
    with ExitStack() as stack:
        cluster = stack.enter_context(Cluster(tmp_path / "cluster", places))
        site = Streams(tmp_path, standin, stack, cluster.servers[0])
        site.use(cluster.url)
        notifier = Notifier(site, stack)
        WorkerProcess(site)
        eventually(partial(notifier.load.has_more_than, 5), "something is accepted", timeout=60)
        for turn in range(TURNS):
            link = f"veth{turn % 3}"
            ip("link", "set", link, "down")
            began = time.monotonic()
            before = len(notifier.load.accepted)
            eventually(partial(notifier.load.has_more_than, before + 50), "the others go on", timeout=60)
            print(f"without server {turn % 3}: 50 accepted after {time.monotonic() - began:.1f} s")
            ip("link", "set", link, "up")
            before = len(notifier.load.accepted)
            eventually(partial(notifier.load.has_more_than, before + 50), "all go on", timeout=60)
        notifier.load.__exit__()
        until_all_have_ended(cluster.url)
        accounted_for(site, notifier.load.accepted, cluster.url)
