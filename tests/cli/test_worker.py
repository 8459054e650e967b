"""``worker``: errors at the start, and the commands of the examples."""

import re
import socket
from pathlib import Path

import pytest

from tests.cli.program import run
from tests.harness import ROOT

EXAMPLES = ROOT / "examples" / "worker"


def config(directory: Path, settings: str) -> Path:
    """A configuration file."""
    path = directory / "notifier.toml"
    path.write_text(f"[settings]\n{settings}\n")
    return path


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("", "names no outbox to work for. Set outbox in its [settings]"),
        ('outbox = "nats://user:s3cret@127.0.0.1"', "nats_credentials"),
        ('outbox = "http://127.0.0.1"', "Give nats://host:4222"),
        ('delivered_by = "workers"', "no outbox is set"),
        ('delivered_by = "everybody"\noutbox = "a.db"', "delivered_by"),
        ('nats_credentials = "in the file"\noutbox = "nats://127.0.0.1"', "nats_credentials"),
        ('nats_ca_file = "notifier.toml"\noutbox = "nats://127.0.0.1"', "holds no certificate in PEM"),
    ],
)
def test_a_worker_without_an_outbox_exits_with_3(tmp_path: Path, settings: str, said: str) -> None:
    done = run("worker", "--config", config(tmp_path, settings))
    assert (done.status, done.out) == (3, "")
    assert said in done.err
    assert "s3cret" not in done.err


def test_a_worker_with_a_missing_file_exits_with_3(tmp_path: Path) -> None:
    done = run("worker", "--config", tmp_path / "nothing.toml")
    assert done.status == 3
    assert "nothing.toml" in done.err


def test_a_worker_with_a_port_in_use_exits_with_3(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        path = config(tmp_path, f'outbox = "{tmp_path}/outbox.db"')
        done = run("worker", "--config", path, "--metrics", taken.getsockname()[1])
    assert done.status == 3
    assert "cannot listen on" in done.err
    assert not (tmp_path / "outbox.db").exists(), "nothing was taken over that would end with this process"


@pytest.mark.parametrize("name", ["influxdb3-notifier-worker.service", "Dockerfile"])
def test_the_examples_use_flags_that_exist(name: str) -> None:
    text = (EXAMPLES / name).read_text()
    known = set(re.findall(r"(--[\w-]+)", run("worker", "--help").out.partition("options:")[2]))
    command = next(line for line in text.splitlines() if line.startswith(("ExecStart=", "CMD ")))
    flags = set(re.findall(r"--[\w-]+", command))
    assert {"--config", "--metrics", "--grace"} == flags
    assert flags <= known
