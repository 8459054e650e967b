"""The command ``influxdb3-notifier``, as it is installed."""

import errno
import os
import stat
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from influxdb3_notifier import __version__, cli
from tests import harness
from tests.engine_host import EngineHost

PROGRAM = Path(sysconfig.get_path("scripts")) / "influxdb3-notifier"
SOURCE = harness.PLUGIN.read_bytes()


def run(*arguments: object, program: list[str] | None = None) -> "subprocess.CompletedProcess[str]":
    command = [*(program or [str(PROGRAM)]), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_plugin_file_of_the_wheel_is_written_and_works(tmp_path: Path) -> None:
    process = run("install-plugin", tmp_path)
    target = tmp_path / "notifier_plugin.py"
    assert (process.returncode, process.stderr) == (0, "")
    assert process.stdout == f"{target}: written, that of influxdb3-notifier {__version__}\n"
    assert target.read_bytes() == SOURCE
    assert stat.S_IMODE(target.stat().st_mode) == 0o644
    assert [path.name for path in tmp_path.iterdir()] == ["notifier_plugin.py"]
    with EngineHost(tmp_path) as host:
        host.create_trigger("notify")
        assert harness.http_request("GET", f"{host.url}/api/v3/engine/notify?view=status").json["status"] == "ok"


def test_a_file_that_is_the_same_is_left_alone(tmp_path: Path) -> None:
    target = tmp_path / "notifier_plugin.py"
    target.write_bytes(SOURCE)
    before = target.stat()
    process = run("install-plugin", tmp_path)
    assert process.returncode == 0
    assert "already" in process.stdout
    assert (target.stat().st_ino, target.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.parametrize("content", [b"", b"the official one", SOURCE + b"\n# a change of mine\n", b"\xff\x00"])
def test_a_file_that_differs_is_overwritten_only_by_force(tmp_path: Path, content: bytes) -> None:
    target = tmp_path / "notifier_plugin.py"
    target.write_bytes(content)
    target.chmod(0o640)
    refused = run("install-plugin", tmp_path)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "--force" in refused.stderr
    assert target.read_bytes() == content
    forced = run("install-plugin", "--force", tmp_path)
    assert (forced.returncode, forced.stderr) == (0, "")
    assert "overwritten" in forced.stdout
    assert target.read_bytes() == SOURCE
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


def test_what_is_no_directory_is_named(tmp_path: Path) -> None:
    for place in (tmp_path / "missing", harness.PLUGIN):
        process = run("install-plugin", place)
        assert (process.returncode, process.stdout) == (3, "")
        assert process.stderr.startswith(f"{place}: is no directory")
    assert not (tmp_path / "missing").exists()


def test_a_directory_in_the_files_place_is_named_and_kept(tmp_path: Path) -> None:
    target = tmp_path / "notifier_plugin.py"
    target.mkdir()
    process = run("install-plugin", "--force", tmp_path)
    assert (process.returncode, process.stdout) == (3, "")
    assert process.stderr == f"{target}: Is a directory\n"


def test_a_file_that_cannot_be_written_is_said_so_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "a temporary file")

    target = tmp_path / "notifier_plugin.py"
    target.write_bytes(b"the old one")
    monkeypatch.setattr(Path, "replace", full)
    assert cli.main(["install-plugin", "--force", str(tmp_path)]) == 3
    assert capsys.readouterr().err == f"{target}: {os.strerror(errno.ENOSPC)}\n"
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [(target.name, b"the old one")]


@pytest.mark.parametrize("arguments", [[], ["install-plugin"], ["install-plugin", "a", "b"], ["unknown"]])
def test_a_command_line_that_cannot_be_read_ends_with_2(arguments: list[str]) -> None:
    process = run(*arguments)
    assert process.returncode == 2
    assert "usage: influxdb3-notifier" in process.stderr


def test_help_has_examples_and_every_exit_status() -> None:
    text = run("install-plugin", "--help").stdout
    assert "influxdb3-notifier install-plugin ~/.plugins" in text
    assert [line.strip()[0] for line in text.partition("exit status:")[2].splitlines()[1:5]] == ["0", "1", "2", "3"]


def test_the_module_is_the_same_program(tmp_path: Path) -> None:
    program = [sys.executable, "-m", "influxdb3_notifier"]
    assert run("--version", program=program).stdout == f"influxdb3-notifier {__version__}\n"
    assert run("install-plugin", tmp_path, program=program).returncode == 0


def test_importing_the_package_does_not_import_the_command_line() -> None:
    program = (
        "import sys, influxdb3_notifier; print([m for m in ('argparse', 'influxdb3_notifier.cli') if m in sys.modules])"
    )
    process = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True)
    assert process.stdout == "[]\n"
