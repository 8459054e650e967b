"""The streams and buckets of an outbox on NATS, and the messages in them."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client
from nats.js.errors import NotFoundError

from tests.faults.streams import Streams
from tests.harness import Standin
from tests.harness.nats import NatsServer, run
from tests.shapes.golden import compare
from tests.shapes.stores import WORDS, Requests, readable

MEMBERS = {**WORDS, "_nats.req.level": "<level>", "_nats.level": "<level>", "_nats.ver": "<version>"}

SETTLED = {
    "notifier_work": 3,
    "notifier_dead_letters": 3,
    "notifier_history": 1,
    "KV_notifier_attempts": 2,
    "KV_notifier_idempotency_keys": 2,
    "KV_notifier_last_notifications": 2,
}
"""Messages in each stream when all is stored."""


@pytest.fixture
def site(tmp_path: Path, standin: Standin) -> Iterator[Streams]:
    with ExitStack() as stack:
        server = stack.enter_context(NatsServer(tmp_path / "nats"))
        yield Streams(tmp_path, standin, stack, server)


def test_the_streams_and_their_messages(site: Streams) -> None:
    requests = Requests(site, site.server.url)
    requests.make(lambda: {name: site.server.messages(name) for name in SETTLED}, SETTLED)
    requests.command("retry", requests.to_retry)
    requests.command("drop", requests.to_drop)
    streams = run(look(site.server))
    compare("jetstream/streams", {name: config for name, (config, _) in streams.items()}, MEMBERS)
    compare("jetstream/messages", {name: messages for name, (_, messages) in streams.items()}, MEMBERS)


async def look(server: NatsServer) -> dict[str, tuple[Any, list[Any]]]:
    """Of each stream: its configuration, as the server has it, and its messages."""
    async with server.client() as client:
        names = json.loads((await client.request("$JS.API.STREAM.NAMES", b"")).data)["streams"]
        return {name: (await config(client, name), await messages(client, name)) for name in sorted(names)}


async def config(client: Client, name: str) -> Any:
    """The configuration of a stream."""
    return json.loads((await client.request(f"$JS.API.STREAM.INFO.{name}", b"")).data)["config"]


async def messages(client: Client, name: str) -> list[Any]:
    """The messages of a stream, the oldest first."""
    js = client.jetstream()
    state = (await js.stream_info(name)).state
    found = []
    for sequence in range(max(state.first_seq, 1), state.last_seq + 1):
        try:
            message = await js.get_msg(name, sequence)
        except NotFoundError:
            continue
        data = readable((message.data or b"").decode())
        found.append({"subject": message.subject, "headers": message.headers, "data": data})
    return found
