"""Loss of the leader of NATS servers: responses are true, and accepted notifications are delivered."""

import itertools
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from nats.errors import NoRespondersError
from nats.js.api import StreamConfig
from nats.js.errors import ServiceUnavailableError

from tests.faults.site import HOOK, to
from tests.faults.streams import Streams
from tests.harness import Response, Standin, Trigger, eventually
from tests.harness.nats import Cluster, NatsServer, run


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Three servers."""
    with Cluster(tmp_path / "cluster") as cluster:
        yield cluster


@pytest.fixture
def site(tmp_path: Path, standin: Standin, stack: ExitStack, cluster: Cluster) -> Streams:
    """A plugin directory with an outbox on all of them."""
    site = Streams(tmp_path, standin, stack, cluster.servers[0])
    site.use(cluster.url)
    return site


def leader(cluster: Cluster, stream: str = "notifier_work") -> NatsServer:
    """The server that leads a stream."""

    async def find() -> str:
        async with cluster.servers[0].client() as client:
            info = await client.jetstream().stream_info(stream)
            assert info.cluster is not None
            assert info.cluster.leader is not None
            return info.cluster.leader

    name = run(find())
    return cluster.servers[int(name.removeprefix("n"))]


def started(site: Streams) -> Trigger:
    """A process that has delivered once: the servers have found each other."""
    _, trigger = site.start()
    eventually(lambda: trigger.notify(to("hook", "before"), timeout=20).status == 200, "it is accepted", timeout=60)
    return trigger


def ask(trigger: Trigger, text: str) -> Response:
    """One notification, with a key and without one, by turns."""
    more = {"idempotency_key": text} if text.endswith("keyed") else {}
    return trigger.notify(to("hook", text, **more), timeout=20)


def until_accepted(trigger: Trigger, name: str) -> str:
    """The text of the first notification that is accepted."""
    deadline = time.monotonic() + 60
    for n in itertools.count():
        text = f"{name} {n} {'keyed' if n % 2 else ''}"
        response = ask(trigger, text)
        if response.status == 200:
            return text
        assert response.status == 503, response.text
        assert "Nothing was sent" in response.json["message"]
        assert time.monotonic() < deadline, response.text
        time.sleep(0.2)
    raise AssertionError(name)


def until_no_leader(trigger: Trigger, name: str) -> set[str]:
    """Ask until the answer is that there is no leader.

    :return: what a leader may have taken that has lost the others and does not know it yet: it is to be delivered.
    """
    accepted = set()
    for n in range(40):
        text = f"{name} {n} {'keyed' if n % 2 else ''}"
        response = ask(trigger, text)
        if response.status == 200:
            assert response.json["deliveries"][0]["reason"] == "outbox", response.text
            accepted.add(text)
            continue
        assert response.status == 503, response.text
        if "has no leader at the moment" in response.json["message"]:
            assert "elect a leader" in response.json["error"]["hint"]
            return accepted
        time.sleep(0.2)
    raise AssertionError(response.text)


def delivered(standin: Standin) -> Counter[str]:
    """How often each text has come, but for the first ones."""
    texts = (body["message"] for body in standin.bodies(HOOK))
    return Counter(text for text in texts if text != "before")


@pytest.mark.timeout(240)
def test_without_a_leader_calls_get_an_error_and_nothing_is_sent(
    site: Streams, cluster: Cluster, standin: Standin
) -> None:
    trigger = started(site)
    # One of three: the others elect another.
    first = leader(cluster)
    first.kill()
    expected = {until_accepted(trigger, "one away")}
    # Without two of three servers there is no leader election.
    second = next(server for server in cluster.servers if server is not first)
    second.kill()
    expected |= until_no_leader(trigger, "two away")
    second.start()
    expected.add(until_accepted(trigger, "back"))
    eventually(lambda: set(delivered(standin)) >= expected, "all have arrived", timeout=60)
    assert delivered(standin) == Counter(expected)


@pytest.mark.timeout(240)
def test_one_stream_without_a_leader_is_named(site: Streams, cluster: Cluster, standin: Standin) -> None:
    async def make() -> None:
        async with cluster.servers[0].client() as client:
            config = StreamConfig(
                name="notifier_history", subjects=["notifier.history.>"], num_replicas=1, max_msgs_per_subject=1
            )
            await client.jetstream().add_stream(config)

    eventually(lambda: tried(make), "the stream is made", timeout=60)
    trigger = started(site)
    lonely = leader(cluster, "notifier_history")
    lonely.kill()
    accepted = until_accepted(trigger, "away")
    # Running processes continue without it. A new process gets an error.
    _, another = site.start()
    assert until_no_leader(another, "new") == set()
    lonely.start()
    until_accepted(another, "back")
    eventually(lambda: accepted in delivered(standin), "it has arrived", timeout=30)
    assert all(count == 1 for count in delivered(standin).values())


def tried(make: Callable[[], Coroutine[Any, Any, None]]) -> bool:
    """Whether it was done: not while there is no leader."""
    try:
        run(make())
    except (ServiceUnavailableError, NoRespondersError, TimeoutError):
        return False
    return True
