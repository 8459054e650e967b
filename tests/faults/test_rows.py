"""The database's writers wait for no delivery, no outbox, no network and no other trigger."""

import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from influxdb3_notifier import process_writes
from influxdb3_notifier._native import metrics
from tests.faults.isolation import TooLateError, best_of_three
from tests.faults.writing import Calls
from tests.harness import ROOT, eventually
from tests.harness.cable import Cable
from tests.harness.nats import NatsServer
from tests.harness.processes import until_json_line
from tests.recording_local import RecordingLocal
from tests.rows.table import Table

CALL_SECONDS = 0.020
"""The longest that a call may take."""


@pytest.fixture(autouse=True)
def until_idle() -> Iterator[None]:
    """Nothing is left for other tests of this process."""
    yield
    eventually(lambda: metric("notifier_in_flight") == metric("notifier_waiting_rows") == 0, timeout=30)


class Writer:
    """A write trigger, and how long its calls took.

    :param settings: of its configuration file. The file is its own: a changed one is noticed some time later.
    :param receiver: the URL that its rows go to; the stand-in's by default.
    """

    def __init__(self, table: Table, name: str, settings: str = "", *, receiver: str = "", **arguments: str) -> None:
        self.table = table
        self.name = f"{name}{time.monotonic_ns()}"
        self.hook = f"/hook/{self.name}"
        url = receiver or f"{table.standin.url}{self.hook}"
        more = f'[receivers.mine]\nhttp = {{ webhook_url = "{url}" }}\n[[routes]]\nreceivers = ["mine"]\n'
        table.configure(settings, more)
        self.path = table.path.with_name(f"{self.name}.toml")
        shutil.copy(table.path, self.path)
        self.calls = Calls({"config_file_path": str(self.path), **arguments})
        self.slowest = 0.0
        self.written = 0

    def write(self, rows: int) -> None:
        """Call the trigger with ``rows`` rows."""
        self.written += rows
        self.slowest = max(self.slowest, self.call(rows))

    def call(self, rows: int) -> float:
        """One call; gives back the seconds that it took."""
        return self.calls.write(rows)

    def lines(self) -> list[str]:
        """The log."""
        return self.calls.log.lines

    def wait_for_line(self, part: str) -> None:
        """Until the log has a line with ``part`` in it."""
        eventually(lambda: any(part in line for line in self.lines()), part)

    def until_sent(self) -> None:
        """Until all rows have arrived, each once."""

        def texts() -> list[str]:
            return [body["message"] for body in self.table.bodies(self.hook)]

        eventually(lambda: len(texts()) >= self.written, f"{self.written} rows of {self.name}", timeout=30)
        assert sorted(map(int, texts())) == list(range(self.written))


class ProcessWriter(Writer):
    """A write trigger in a separate process, which closes its files at its end."""

    def __init__(self, stack: ExitStack, table: Table, name: str, settings: str) -> None:
        super().__init__(table, name, settings)
        script = [sys.executable, "-m", "tests.faults.writing", str(self.path)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.process = stack.enter_context(subprocess.Popen(script, cwd=ROOT, text=True, **pipes))  # type: ignore[call-overload]
        stack.callback(self.process.kill)

    def call(self, rows: int) -> float:
        return float(self._ask(rows)["seconds"])

    def lines(self) -> list[str]:
        return list(self._ask(0)["lines"])

    def _ask(self, rows: int) -> dict[str, Any]:
        self.process.stdin.write(f"{rows}\n")
        self.process.stdin.flush()
        return until_json_line(self.process)


def metric(name: str) -> float:
    """A metric of this process."""
    [line] = [line for line in metrics().splitlines() if line.startswith(f"{name} ")]
    return float(line.split()[1])


def in_time(*writers: Writer) -> None:
    """Refuse calls that took too long."""
    slowest = max(writer.slowest for writer in writers)
    if slowest > CALL_SECONDS:
        raise TooLateError(f"{slowest * 1000:.1f} ms")


@best_of_three
def test_a_hundred_batches_return_in_20_ms_each_while_the_destination_hangs(table: Table) -> None:
    silent = table.standin.fault("silent")
    writer = Writer(table, "hanging", receiver=f"{silent['url']}x", delivery_timeout="1s")

    def requests() -> int:
        return int(table.standin.fault_report(silent["port"])["requests"])

    # One-time work at the start may take longer than the delivery's deadline.
    while requests() == 0:
        writer.write(1)
        time.sleep(0.1)
    writer.slowest, before = 0, requests()
    for _ in range(100):
        writer.write(10)
    in_time(writer)
    # They are under way all the same.
    eventually(lambda: requests() >= before + 8)


@best_of_three
@pytest.mark.parametrize("has_outbox", [True, False])
def test_writers_and_another_trigger_wait_for_no_destination_that_hangs(
    table: Table, tmp_path: Path, has_outbox: bool
) -> None:
    outbox = f'outbox = "{tmp_path}/{time.monotonic_ns()}.db"\n' if has_outbox else ""
    settings = f"{outbox}max_in_flight = 1000"
    hanging = Writer(table, "hanging", settings)
    healthy = Writer(table, "healthy", settings)
    # Files that the first call opens are not counted.
    for writer in (hanging, healthy):
        writer.write(1)
        writer.slowest = 0
    table.standin.rule(hanging.hook, delay_ms=2_500)
    for _ in range(20):
        hanging.write(100)
    for _ in range(50):
        healthy.write(1)
    healthy.until_sent()
    assert len(table.bodies(hanging.hook)) < 20, "the others wait"
    table.standin.clear_rules()
    hanging.until_sent()
    in_time(hanging, healthy)


@best_of_three
def test_writers_wait_for_no_file_that_another_program_has_locked(table: Table, tmp_path: Path) -> None:
    path = tmp_path / f"{time.monotonic_ns()}.db"
    with ExitStack() as stack:
        writer = ProcessWriter(stack, table, "locked", f'outbox = "{path}"')
        writer.write(1)
        writer.until_sent()
        writer.slowest = 0
        with closing(sqlite3.connect(path, isolation_level=None)) as this_program:
            this_program.execute("BEGIN EXCLUSIVE")
            for _ in range(10):
                writer.write(10)
            writer.wait_for_line("alerts: rows wait in memory: The outbox")
        writer.until_sent()
        in_time(writer)


@best_of_three
def test_writers_wait_for_no_servers_that_are_away(table: Table, tmp_path: Path) -> None:
    with ExitStack() as stack:
        server = stack.enter_context(NatsServer(tmp_path / str(time.monotonic_ns())))
        writer = ProcessWriter(stack, table, "away", f'outbox = "{server.url}"')
        writer.write(1)
        writer.until_sent()
        server.kill()
        writer.slowest = 0
        for _ in range(10):
            writer.write(10)
        writer.wait_for_line("alerts: rows wait in memory: The outbox")
        server.start()
        writer.until_sent()
        in_time(writer)


@best_of_three
def test_writers_do_not_wait_for_servers_without_replies(table: Table, tmp_path: Path) -> None:
    with ExitStack() as stack:
        server = stack.enter_context(NatsServer(tmp_path / str(time.monotonic_ns())))
        cable = stack.enter_context(Cable(server.port))
        writer = ProcessWriter(stack, table, "held", f'outbox = "{cable.url}"')
        writer.write(1)
        writer.until_sent()
        cable.hold_replies()
        writer.slowest = 0
        for _ in range(10):
            writer.write(10)
        # Longer than a request waits until it is known whether it is stored.
        time.sleep(2.5)
        cable.heal()
        writer.until_sent()
        in_time(writer)


@pytest.mark.parametrize("kind", ["file", "servers"])
def test_rows_without_room_are_stored_and_leave_when_there_is_room(
    table: Table, tmp_path: Path, stack: ExitStack, kind: str
) -> None:
    outbox = f"{tmp_path}/left.db"
    if kind == "servers":
        outbox = stack.enter_context(NatsServer(tmp_path / "nats")).url
    # Rows that have found room wait for those of their host that have not.
    settings = f'outbox = "{outbox}"\nmax_in_flight = 10\ndedup_key_column = "host"'
    writer = ProcessWriter(stack, table, "left", settings)
    table.standin.rule(writer.hook, delay_ms=5)
    for _ in range(4):
        writer.write(50)
    writer.wait_for_line("left in the outbox")
    writer.until_sent()
    sent = [int(body["message"]) for body in table.bodies(writer.hook)]
    for host in range(7):
        of_host = [number for number in sent if number % 7 == host]
        assert of_host == sorted(of_host)


def test_rows_that_are_left_in_the_outbox_outlive_a_kill(table: Table, tmp_path: Path) -> None:
    settings = f'outbox = "{tmp_path}/killed.db"\nmax_in_flight = 10'
    with ExitStack() as stack:
        killed = ProcessWriter(stack, table, "killed", settings)
        table.standin.rule(killed.hook, delay_ms=10_000)
        killed.write(200)
        killed.wait_for_line("left in the outbox")
        killed.process.kill()
    table.standin.clear_rules()
    # Another trigger of the same file takes over.
    process_writes(
        1, RecordingLocal(), [{"table_name": "alerts", "rows": [{"message": "200"}]}], killed.calls.arguments
    )
    killed.written = 201
    eventually(
        lambda: {body["message"] for body in table.bodies(killed.hook)} == {str(n) for n in range(201)}, timeout=30
    )


def test_rows_that_wait_for_more_than_there_is_memory_for_are_dropped_and_counted(table: Table) -> None:
    writer = Writer(table, "flood", "max_in_flight = 1")
    table.standin.rule(writer.hook, delay_ms=1_000)
    dropped = metric("notifier_rows_dropped_total")
    rows = [{"message": "x" * 1_000_000, "time": row} for row in range(20)]
    for _ in range(4):
        process_writes(1, writer.calls.log, [{"table_name": "alerts", "rows": rows}], writer.calls.arguments)
    [line] = [line for line in writer.lines() if "nobody was notified" in line]
    assert line.endswith(
        "alerts: nobody was notified of 20 rows: Too many rows wait already. Look which destination or outbox does not "
        "answer, or write fewer rows at a time."
    )
    assert metric("notifier_rows_dropped_total") == dropped + 20
    assert 40 < metric("notifier_waiting_rows") <= 60
    table.standin.clear_rules()
    eventually(lambda: metric("notifier_waiting_rows") == 0, timeout=30)


def test_waiting_rows_are_stored_when_the_process_ends(table: Table, tmp_path: Path) -> None:
    settings = f'outbox = "{tmp_path}/ending.db"'
    writer = Writer(table, "ending", settings)
    table.standin.rule(writer.hook, delay_ms=1_000)
    script = [sys.executable, "-m", "tests.faults.writing", str(writer.path)]
    ended = subprocess.run(script, input="300\n", cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert (ended.returncode, ended.stderr) == (0, "")
    table.standin.clear()
    # This process recovers the other's stored deliveries, and repeats those in flight.
    writer.write(1)
    messages: set[str] = set()

    def all_are_there() -> bool:
        messages.update(body["message"] for body in table.bodies(writer.hook))
        return len(messages) == 300

    eventually(all_are_there, "all rows", timeout=30)
