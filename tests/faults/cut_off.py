"""A process is cut off from NATS by packets that are lost, while the provider stays reachable.

``tests/faults/test_cut_off.py`` runs this in a network of its own, where the user may make links. The NATS server is in
another one, with two links to this: the process that is cut off uses the first, all others the second.
"""

import os
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.streams import Streams
from tests.faults.test_jetstream_holders import counts, keep_waiting, once, until_handed_on
from tests.harness import Standin, eventually
from tests.harness.nats import NatsServer

COUNT = 8
FIRST, SECOND = "10.14.0", "10.15.0"
"""The networks of both links: here is ``.1``, the server is ``.2``."""


def ip(*words: object) -> None:
    """Run ``ip`` of iproute2."""
    subprocess.run(["ip", *map(str, words)], check=True)


@pytest.fixture
def there(stack: ExitStack) -> list[str]:
    """The command prefix for the server's network namespace."""
    here = os.readlink("/proc/self/ns/net")
    holder = stack.enter_context(subprocess.Popen(["unshare", "--net", "sleep", "600"]))
    stack.callback(holder.kill)
    eventually(lambda: os.readlink(f"/proc/{holder.pid}/ns/net") != here)
    there = ["nsenter", "--target", str(holder.pid), "--net"]
    for number, network in enumerate((FIRST, SECOND)):
        ip("link", "add", f"near{number}", "type", "veth", "peer", "name", f"far{number}", "netns", holder.pid)
        ip("addr", "add", f"{network}.1/24", "dev", f"near{number}")
        ip("link", "set", f"near{number}", "up")
        subprocess.run([*there, "ip", "addr", "add", f"{network}.2/24", "dev", f"far{number}"], check=True)
        subprocess.run([*there, "ip", "link", "set", f"far{number}", "up"], check=True)
    return there


@pytest.fixture
def distant(tmp_path: Path, there: list[str]) -> Iterator[NatsServer]:
    """The NATS server, with its address on the second link."""
    everywhere = "0.0.0.0"  # noqa: S104 - of a network that ends with the test
    with NatsServer(tmp_path / "nats", host=everywhere, address=f"{SECOND}.2", inside=there) as server:
        yield server


@pytest.mark.timeout(180)
def test_a_process_with_lost_packets_to_nats_sends_no_sms_twice(
    tmp_path: Path, standin: Standin, stack: ExitStack, there: list[str], distant: NatsServer
) -> None:
    """Drops the packets of the connection to NATS after the first SMS."""
    site = Streams(tmp_path, standin, stack, distant)
    (tmp_path / "other").mkdir()
    other = Streams(tmp_path / "other", standin, stack, distant)
    texts = [f"text {n}" for n in range(COUNT)]
    site.use(f"nats://{FIRST}.2:{distant.port}")
    _, trigger = site.start({"response_timeout": "100ms"})
    keep_waiting(trigger, standin, texts)
    link = [*there, "ip", "link", "set", "far0"]
    # From here on packets are dropped: no connection is closed or refused.
    subprocess.run([*link, "down"], check=True)
    time.sleep(6)
    assert counts(standin)[1] == Counter(), "it cannot note its attempts"
    site.lapse()
    other.worker()
    eventually(lambda: len(counts(standin)[1]) == COUNT, "all are sent", timeout=30)
    eventually(lambda: distant.messages() == 0, "all have ended")
    subprocess.run([*link, "up"], check=True)
    until_handed_on(trigger, COUNT)
    assert counts(standin)[1] == once(texts)
