"""``install-plugin``: the plugin file of the wheel in a server's directory."""

import errno
import os
import stat
from pathlib import Path

import pytest

from influxdb3_notifier import __version__, cli
from tests import harness
from tests.cli.program import run
from tests.engine_host.host import EngineHost

SOURCE = harness.PLUGIN.read_bytes()


def test_the_plugin_file_of_the_wheel_is_written_and_works(tmp_path: Path) -> None:
    process = run("install-plugin", tmp_path)
    target = tmp_path / "notifier_plugin.py"
    assert (process.status, process.err) == (0, "")
    assert process.out == f"{target}: written, from influxdb3-notifier {__version__}\n"
    assert target.read_bytes() == SOURCE
    assert stat.S_IMODE(target.stat().st_mode) == 0o644
    assert [path.name for path in tmp_path.iterdir()] == ["notifier_plugin.py"]
    with EngineHost(tmp_path) as host:
        host.create_trigger("notify")
        assert harness.post(host, b"", query={"view": "status"}, method="GET").json["status"] == "ok"


def test_an_identical_file_is_not_written(tmp_path: Path) -> None:
    target = tmp_path / "notifier_plugin.py"
    target.write_bytes(SOURCE)
    before = target.stat()
    process = run("install-plugin", tmp_path)
    assert process.status == 0
    assert "already" in process.out
    assert (target.stat().st_ino, target.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.parametrize("content", [b"", b"the official one", SOURCE + b"\n# a change of mine\n", b"\xff\x00"])
def test_a_different_file_is_overwritten_only_with_force(tmp_path: Path, content: bytes) -> None:
    target = tmp_path / "notifier_plugin.py"
    target.write_bytes(content)
    target.chmod(0o640)
    refused = run("install-plugin", tmp_path)
    assert (refused.status, refused.out) == (1, "")
    assert "--force" in refused.err
    assert target.read_bytes() == content
    forced = run("install-plugin", "--force", tmp_path)
    assert (forced.status, forced.err) == (0, "")
    assert "overwritten" in forced.out
    assert target.read_bytes() == SOURCE
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


def test_the_json_output_has_the_result(tmp_path: Path) -> None:
    target = tmp_path / "notifier_plugin.py"
    seen = []
    for change in (b"", None, b"another"):
        if change:
            target.write_bytes(change)
        done = run("install-plugin", tmp_path, "--format", "json")
        assert done.json == {"file": str(target), "state": done.json["state"], "version": __version__}
        seen.append((done.status, done.json["state"], done.err))
    assert seen == [(0, "written", ""), (0, "unchanged", ""), (1, "differs", "")]
    assert run("install-plugin", "--force", tmp_path, "--format", "json").json["state"] == "overwritten"


def test_a_path_that_is_no_directory_is_named(tmp_path: Path) -> None:
    for place in (tmp_path / "missing", harness.PLUGIN):
        process = run("install-plugin", place)
        assert (process.status, process.out) == (3, "")
        assert process.err.startswith(f"{place}: not a directory")
    assert not (tmp_path / "missing").exists()


def test_a_directory_with_the_files_name_is_named_and_kept(tmp_path: Path) -> None:
    target = tmp_path / "notifier_plugin.py"
    target.mkdir()
    process = run("install-plugin", "--force", tmp_path)
    assert (process.status, process.out) == (3, "")
    assert process.err == f"{target}: Is a directory\n"


def test_a_write_error_is_reported_and_leaves_no_partial_file(
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
