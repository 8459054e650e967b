"""Real NATS servers for tests, each with a separate directory, on loopback."""

import asyncio
import contextlib
import json
import signal
import subprocess
import sysconfig
from collections.abc import AsyncIterator, Coroutine, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

import nats
from nats.aio.client import Client
from nats.errors import NoRespondersError
from nats.js import JetStreamContext
from nats.js.api import ConsumerInfo
from nats.js.errors import NotFoundError
from nats.js.kv import KeyValue

from tests.harness.http import http_request
from tests.harness.processes import eventually, free_port

T = TypeVar("T")
PROGRAM = Path(sysconfig.get_path("scripts")) / "nats-server"


class NatsServer:
    """One server. A restart with :meth:`stop` and :meth:`start` does not change its port and its stored data.

    :param more: additional lines of its configuration file.
    :param jetstream: whether to enable JetStream.
    :param host: the address on which it listens.
    :param address: the address for clients, if it is another one.
    :param inside: a prefix of the server's command, such as ``ip netns exec NAME``.
    """

    def __init__(
        self,
        directory: Path,
        more: str = "",
        *,
        jetstream: bool = True,
        host: str = "127.0.0.1",
        address: str = "",
        inside: Sequence[str] = (),
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.port, self._monitor = free_port(), free_port()
        self._host, self._inside = host, inside
        self._address = address or host
        self.configure(more, jetstream=jetstream)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The address for clients."""
        return f"nats://{self._address}:{self.port}"

    def configure(self, more: str = "", *, jetstream: bool = True) -> None:
        """Write the configuration file for the next start."""
        store = f'jetstream {{ store_dir: "{self.directory}/store" }}\n' if jetstream else ""
        listen = f'listen: "{self._host}:{self.port}"\nhttp: "{self._host}:{self._monitor}"\n'
        (self.directory / "server.conf").write_text(listen + store + more)

    def launch(self) -> None:
        """Start the server without waiting until it is ready."""
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*self._inside, PROGRAM, "-c", self.directory / "server.conf"],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )

    def start(self) -> Self:
        """Start the server, and wait until it is ready."""
        self.launch()
        self.wait()
        return self

    def wait(self) -> None:
        """Until it is ready."""
        eventually(self._is_ready, f"NATS is ready: {(self.directory / 'log').read_text()}", timeout=30)

    def _is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.directory / "log").read_text()
        with contextlib.suppress(OSError):
            return http_request("GET", f"http://{self._address}:{self._monitor}/healthz", timeout=2).status == 200
        return False

    def kill(self) -> None:
        """End it at once."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def freeze(self) -> None:
        """Stop the process without closing its connections, as a broken network does."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()

    def lapse(self, *, as_if_a_minute_had_passed: bool = False) -> int:
        """Expire the leases of dead processes; returns the number of released requests."""
        return run(lapse(self, 60_000 if as_if_a_minute_had_passed else 0))

    def messages(self, stream: str = "notifier_work") -> int:
        """How many messages a stream holds."""
        return run(_messages(self, stream))

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        """A connection of the test's own."""
        client = await nats.connect(self.url)
        try:
            yield client
        finally:
            await client.close()


class Cluster:
    """Three servers that are one.

    :param places: the address of each, and the command that its own is given to.
    """

    def __init__(self, directory: Path, places: Sequence[tuple[str, Sequence[str]]] = (("127.0.0.1", ()),) * 3) -> None:
        routes = [(host, free_port(), inside) for host, inside in places]
        all_routes = ", ".join(f'"nats://{host}:{port}"' for host, port, _ in routes)
        self.servers = [
            NatsServer(
                directory / f"n{number}",
                f'server_name: n{number}\ncluster {{ name: c, listen: "{host}:{port}", routes: [{all_routes}] }}\n',
                host=host,
                inside=inside,
            )
            for number, (host, port, inside) in enumerate(routes)
        ]

    @property
    def url(self) -> str:
        """As ``outbox`` names it."""
        return " ".join(server.url for server in self.servers)

    def __enter__(self) -> Self:
        for server in self.servers:
            server.launch()
        for server in self.servers:
            server.wait()
        return self

    def __exit__(self, *_: object) -> None:
        for server in self.servers:
            server.kill()


def run(work: Coroutine[Any, Any, T]) -> T:
    """Do something asynchronous."""
    return asyncio.run(work)


async def _messages(server: NatsServer, stream: str) -> int:
    async with server.client() as client:
        with contextlib.suppress(NotFoundError):
            return int((await client.jetstream().stream_info(stream)).state.messages)
    return 0


async def lapse(server: NatsServer, age: int) -> int:
    """Return the messages of dead processes to the stream.

    :param age: milliseconds by which their attempts are made older.
    """
    count = 0
    async with server.client() as client:
        js = client.jetstream()
        await make_rows_older(js)
        notes = await js.key_value("notifier_attempts")
        alive: dict[str, bool] = {}
        consumers = {info.name: info for info in await js.consumers_info("notifier_work")}
        state = (await js.stream_info("notifier_work")).state
        for sequence in range(state.first_seq, state.last_seq + 1):
            try:
                message = await js.get_msg("notifier_work", sequence)
            except NotFoundError:
                continue
            assert message.subject is not None
            _, _, owner, config, _, task = message.subject.split(".")
            consumer = consumers.get(f"{owner}_{config}")
            noted: dict[str, KeyValue.Entry] = {}
            for index in range(3):
                with contextlib.suppress(NotFoundError):
                    entry = await notes.get(f"attempt.{task}.{sequence}.{index}")
                    noted[entry.key] = entry
                    owner = json.loads(entry.value or b"{}").get("owner") or owner
            if owner not in alive:
                alive[owner] = await lives(client, owner)
            if consumer is not None and not alive[owner]:
                for key, entry in noted.items():
                    note = json.loads(entry.value or b"{}")
                    if age and "attempting" in note and entry.revision:
                        note["attempting"] -= age
                        await notes.update(key, json.dumps(note).encode(), entry.revision)
                await nak(client, consumer, sequence)
                count += 1
    return count


async def make_rows_older(js: JetStreamContext) -> None:
    """Let history rows look as if they had been stored a minute before."""
    with contextlib.suppress(NotFoundError):
        state = (await js.stream_info("notifier_history")).state
        for sequence in range(max(state.first_seq, 1), state.last_seq + 1):
            with contextlib.suppress(NotFoundError):
                message = await js.get_msg("notifier_history", sequence)
                row = json.loads(message.data or b"{}")
                assert message.subject is not None
                row["stored"] -= 60_000
                await js.publish(message.subject, json.dumps(row).encode())


async def lives(client: Client, owner: str) -> bool:
    """Whether a process is alive."""
    try:
        await client.request(f"notifier.alive.{owner}", b"", timeout=2)
    except (NoRespondersError, TimeoutError):
        return False
    return True


async def nak(client: Client, consumer: ConsumerInfo, sequence: int) -> None:
    """Negatively acknowledge a message, so that it is redelivered."""
    last = consumer.delivered.consumer_seq if consumer.delivered else 0
    subject = f"$JS.ACK.notifier_work.{consumer.name}.1.{sequence}.{last}.1.0"
    await client.request(subject, b"-NAK", timeout=5)
