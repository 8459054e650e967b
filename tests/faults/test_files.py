"""Files that hang, are not regular or have no end: calls return in time with the last valid configuration."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.contract.case import backdated
from tests.faults.isolation import GROWTH
from tests.faults.process_usage import resident_bytes
from tests.faults.test_bounds import metric
from tests.faults.test_tls import served
from tests.harness import ROOT, ProcessEngine, Standin, Trigger, Triggers, eventually
from tests.harness.preload import preloaded

HI = {"notification_text": "hi"}
THREADS = "notifier_abandoned_file_threads"
LATE = "does not answer in time"
SOON = 3.0
"""The maximum duration of a call in seconds. Reading a file may take half a second."""


class HungFiles:
    """An engine process with a directory whose files can hang."""

    def __init__(self, engine: ProcessEngine, stack: ExitStack, switches: Path, standin: Standin) -> None:
        self.engine, self.standin = engine, standin
        self.triggers = Triggers(engine, stack)
        self.directory = switches.parent / "hung"
        self._switches = switches

    @contextmanager
    def hang(self, *operations: str) -> Iterator[None]:
        """Let looking at files, opening or reading them never end, until the context ends."""
        for operation in operations:
            (self._switches / operation).touch()
        yield
        for operation in operations:
            (self._switches / operation).unlink()

    def write(self, name: str, text: str) -> Path:
        file = self.directory / name
        file.write_text(text)
        return backdated(file)

    def config(self, url: str) -> Path:
        """Sends to a URL, which is written in TOML."""
        text = f'[settings]\ndefault_receivers = ["r"]\n[receivers.r.http]\nwebhook_url = {url}\n'
        return self.write("config.toml", text)

    def hook(self, name: str) -> str:
        return f"{self.standin.url}/hook/{name}"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """The authority in the engine's SSL_CERT_FILE."""
    return trustme.CA()


@pytest.fixture
def hung(tmp_path: Path, standin: Standin, authority: trustme.CA) -> Iterator[HungFiles]:
    """Such an engine."""
    switches = tmp_path / "switches"
    switches.mkdir()
    (tmp_path / "hung").mkdir()
    (tmp_path / "hung" / "ca.pem").write_bytes(authority.cert_pem.bytes())
    store = str(tmp_path / "hung" / "ca.pem")
    library = preloaded(ROOT / "tests" / "faults" / "hung.c", tmp_path)
    environment = library | {"HUNG": str(switches), "SSL_CERT_FILE": store}
    with ProcessEngine(tmp_path, environment=environment) as engine, ExitStack() as stack:
        yield HungFiles(engine, stack, switches, standin)
    assert "internal error at" not in engine.errors()


def asked(trigger: Trigger) -> tuple[int, dict[str, Any], float]:
    """Status, answer and seconds of a request."""
    started = time.monotonic()
    response = trigger.notify(HI)
    return response.status, response.json, time.monotonic() - started


@pytest.mark.parametrize("operation", ["look", "open", "read"])
def test_a_file_that_cannot_be_read_in_time_is_a_503_and_other_triggers_work(hung: HungFiles, operation: str) -> None:
    file = hung.config(repr(hung.hook("late")))
    with hung.hang(operation):
        trigger = hung.triggers.create({"config_file_path": str(file)})
        took = []
        for _ in range(6):
            status, response, seconds = asked(trigger)
            assert (status, response["error"]["code"]) == (503, "config_file")
            assert LATE in response["message"]
            took.append(seconds)
        assert max(took) < SOON
        # Two threads wait at most; then nothing is waited for.
        assert took[-1] < 0.4
        other = hung.triggers.create({})
        assert metric(other, THREADS) <= 2
        named = {"http": {"http_webhook_url": f"{hung.standin.url}/hook/other"}}
        assert other.notify(HI | {"senders_config": named}).json["results"] == {"http": True}
    eventually(lambda: metric(other, THREADS) == 0, "threads that end")
    eventually(lambda: asked(trigger)[0] == 200, "settings")
    assert hung.standin.requests("/hook/late")


@pytest.mark.parametrize("operations", [("look",), ("look", "open", "read")], ids=" ".join)
def test_the_configuration_stays_while_its_file_cannot_be_read_in_time(
    hung: HungFiles, operations: tuple[str, ...]
) -> None:
    trigger = hung.triggers.create({"config_file_path": str(hung.config(repr(hung.hook("before"))))})
    assert asked(trigger)[0] == 200
    with hung.hang(*operations):
        time.sleep(0.3)
        for _ in range(8):
            status, response, seconds = asked(trigger)
            assert (status, response["results"]) == (200, {"r": True})
            assert seconds < SOON
            time.sleep(0.1)
        line = trigger.wait_for_log(LATE)
        assert "or a file that it names" in line
        status_view = trigger.notify(b"", query={"view": "status"}, method="GET").json
        assert (status_view["status"], LATE in status_view["error"]["message"]) == ("outdated", True)
    time.sleep(0.3)
    assert asked(trigger)[0] == 200
    assert trigger.notify(b"", query={"view": "status"}, method="GET").json["status"] == "ok"
    assert len([text for _, text in trigger.log_lines() if LATE in text]) == 1
    hung.config(repr(hung.hook("after")))
    eventually(lambda: asked(trigger)[0] == 200 and bool(hung.standin.requests("/hook/after")), "the edit")


def test_while_a_secret_file_hangs_the_last_valid_configuration_stays(hung: HungFiles) -> None:
    hung.write("secret", hung.hook("before"))
    trigger = hung.triggers.create({"config_file_path": str(hung.config('{ file = "secret" }'))})
    assert asked(trigger)[0] == 200
    with hung.hang("read"):
        hung.write("secret", hung.hook("after"))
        time.sleep(0.3)
        for _ in range(10):
            status, response, seconds = asked(trigger)
            assert (status, response["results"]) == (200, {"r": True})
            assert seconds < SOON
            time.sleep(0.1)
        assert len([text for _, text in trigger.log_lines() if LATE in text]) == 1
    eventually(lambda: asked(trigger)[0] == 200 and bool(hung.standin.requests("/hook/after")), "the new secret")


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_fed_pipe(path: Path) -> None:
    """With a writer at its other end, which ends with the test's process."""
    os.mkfifo(path)
    subprocess.Popen(["timeout", "20", "sh", "-c", f"cat /dev/zero > {path}"], stderr=subprocess.DEVNULL)


def make_terabyte(path: Path) -> None:
    """A hole takes no room on the disk."""
    path.touch()
    os.truncate(path, 1 << 40)


ODD: dict[str, Any] = {
    "a pipe": make_pipe,
    "a pipe with a writer": make_fed_pipe,
    "an endless device": lambda path: path.symlink_to("/dev/zero"),
    "the kernel's log": lambda path: path.symlink_to("/proc/kmsg"),
    "a directory": lambda path: path.mkdir(),
    "a terabyte": make_terabyte,
}
PLACES = {
    "the configuration file": None,
    "a secret": 'signing_secret = { file = "odd" }\n',
    "an authority": 'ca_file = "odd"\n',
    "a client's certificate": 'client_certificate = "odd"\n',
    "an account's secret": '[settings]\nnats_credentials = { file = "odd" }\n',
}


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("make", ODD.values(), ids=ODD)
def test_a_path_that_is_no_file_or_never_ends_is_a_503_at_once(
    make: Any, place: str | None, triggers: Triggers, tmp_path: Path
) -> None:
    odd = tmp_path / "odd"
    if not odd.exists():
        make(odd)
    file = odd
    if place is not None:
        file = tmp_path / "config.toml"
        is_setting = place.startswith("[")
        file.write_text(place if is_setting else f'[receivers.r.http]\nwebhook_url = "http://127.0.0.1"\n{place}')
    status, response, seconds = asked(triggers.create({"config_file_path": str(file)}))
    assert (status, response["error"]["code"]) == (503, "config_file"), response
    assert any(
        why in response["message"] for why in ("is no file", "is a directory", "is longer than", "cannot be read")
    )
    assert seconds < SOON


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
@pytest.mark.parametrize("make", ODD.values(), ids=ODD)
def test_a_certificate_store_that_is_no_file_or_never_ends_stops_no_handshake(
    make: Any, name: str, tmp_path: Path, standin: Standin, authority: trustme.CA
) -> None:
    directory = tmp_path / "store"
    directory.mkdir()
    store = directory if name == "SSL_CERT_DIR" else directory / "odd"
    with ProcessEngine(tmp_path, environment={name: str(store)}) as engine, ExitStack() as stack:
        # Python reads the store too, when the engine starts.
        make(directory / "odd")
        trigger = Triggers(engine, stack).create({"max_attempts": "1"})
        plain = {"http": {"http_webhook_url": f"{standin.url}/hook/plain"}}
        assert trigger.notify(HI | {"senders_config": plain}).json["results"] == {"http": True}
        before = resident_bytes(engine.process.pid)
        secure = {"http": {"http_webhook_url": f"{served(standin, authority.issue_cert('localhost'))}hook/secure"}}
        response = trigger.notify(HI | {"senders_config": secure})
        assert response.json["deliveries"][0]["reason"] == "tls"
        assert response.elapsed < SOON
        assert resident_bytes(engine.process.pid) - before < GROWTH
        assert metric(trigger, THREADS) == 0


def test_certificates_in_a_file_that_hangs_are_used_once_it_can_be_read(
    hung: HungFiles, standin: Standin, authority: trustme.CA
) -> None:
    url = served(standin, authority.issue_cert("localhost"))
    trigger = hung.triggers.create({"max_attempts": "1"})
    secure = HI | {"senders_config": {"http": {"http_webhook_url": f"{url}hook/secure"}}}
    with hung.hang("read"):
        for _ in range(4):
            response = trigger.notify(secure)
            assert response.json["deliveries"][0]["reason"] == "tls"
            assert response.elapsed < SOON
        assert metric(trigger, THREADS) == 2
        # The files of other triggers have separate threads.
        file = hung.directory.parent / "config.toml"
        file.write_text(f'[settings]\ndefault_receivers = ["r"]\n[receivers.r.http]\nwebhook_url = "{standin.url}"\n')
        assert asked(hung.triggers.create({"config_file_path": str(file)}))[0] == 200
    eventually(lambda: trigger.notify(secure).json["results"] == {"http": True}, "the certificates")
