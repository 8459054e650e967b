"""The release: the version, the checks of a wheel, the workflows."""

import base64
import hashlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from zipfile import ZipFile

import pytest

from release import check, version, wheels
from tests import harness
from tests.harness import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


# The version


def test_every_place_has_cargos_version() -> None:
    process = subprocess.run(
        [sys.executable, "-m", "release.version", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (process.returncode, process.stderr) == (0, "")


def test_another_version_in_cargo_toml_is_written_to_every_place() -> None:
    places = {str(path.relative_to(ROOT)): text for path, text in version.outdated("9.8.7")}
    assert {"notifier_plugin.py", "manifest.toml", "README.md", "docs/five-minutes.md"} <= set(places)
    assert '\nWHEEL_VERSION = "9.8.7"\n' in places["notifier_plugin.py"]
    manifest = tomllib.loads(places["manifest.toml"])
    assert manifest["plugin"]["version"] == "9.8.7"
    assert manifest["dependencies"]["python"] == ["influxdb3-notifier==9.8.7"]
    now = version.version()
    assert not [name for name, text in places.items() if re.search(rf"influxdb3-notifier=={re.escape(now)}", text)]


def test_the_changelog_has_a_section_of_the_version() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(
        rf"^## \[{re.escape(version.version())}\] - (unreleased|\d{{4}}-\d\d-\d\d)$", changelog, re.MULTILINE
    )


def test_python_packages_have_no_version_of_their_own() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert "version" not in project
    assert "version" in project["dynamic"]


# The wheels


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    """The tests' wheel as ``make wheels`` builds it, without the large library."""
    built = harness.newest_wheel()
    released = tmp_path / re.sub(r"abi3-.*", "abi3-manylinux2014_x86_64.manylinux_2_17_x86_64.whl", built.name)
    with ZipFile(built) as source, ZipFile(released, "w") as target:
        for entry in source.infolist():
            target.writestr(entry, b"" if "_native.abi3" in entry.filename else source.read(entry))
    wheels.without_place(released)
    return released


def test_a_wheel_has_its_contents_and_a_list_of_its_components(wheel: Path) -> None:
    assert list(check.problems(wheel)) == []


def test_the_list_of_components_does_not_say_where_the_wheel_was_built(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if "/sboms/" in name]
        listed = archive.read(name)
        [record] = [archive.read(other).decode() for other in archive.namelist() if other.endswith("/RECORD")]
    assert b'"path+file:///influxdb3-notifier#' in listed
    assert str(ROOT).encode() not in listed
    digest = base64.urlsafe_b64encode(hashlib.sha256(listed).digest()).decode().rstrip("=")
    assert f"{name},sha256={digest},{len(listed)}\n" in record


def test_a_wheel_that_says_where_it_was_built_is_refused(wheel: Path) -> None:
    with ZipFile(wheel, "a") as archive:
        archive.writestr("influxdb3_notifier/extra", f"at {ROOT}/src/lib.rs")
    assert f"influxdb3_notifier/extra has the path {ROOT}" in list(check.problems(wheel))


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("influxdb3_notifier-9.9.9-cp311-abi3-win_amd64.whl", "it is of version 9.9.9"),
        ("influxdb3_notifier-{version}-cp311-cp311-win_amd64.whl", "its name is not"),
        ("influxdb3_notifier-{version}-cp311-abi3-linux_x86_64.whl", "its name is not"),
        ("influxdb3_notifier-{version}-cp311-abi3-manylinux_2_34_x86_64.whl", "its name is not"),
    ],
)
def test_a_wheel_of_another_version_or_platform_is_refused(wheel: Path, name: str, problem: str) -> None:
    other = wheel.rename(wheel.parent / name.format(version=version.version()))
    assert any(said.startswith(problem) for said in check.problems(other))


def test_an_incomplete_wheel_is_rejected(wheel: Path, tmp_path: Path) -> None:
    stripped = tmp_path / "stripped" / wheel.name
    stripped.parent.mkdir()
    with ZipFile(wheel) as source, ZipFile(stripped, "w") as target:
        for name in source.namelist():
            if "/sboms/" not in name and "completions" not in name:
                target.writestr(name, source.read(name))
    said = "\n".join(check.problems(stripped))
    assert "it lacks influxdb3_notifier/cli/completions/bash" in said
    assert "it has no list of its components" in said


# The workflows


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_by_their_commit_and_none_has_a_secret(workflow: Path) -> None:
    text = workflow.read_text(encoding="utf-8")
    used = re.findall(r"uses: ([^.\s]\S+)(?: # (\S+))?$", text, re.MULTILINE)
    assert used
    assert [action for action, tag in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action) or not tag] == []
    assert "secrets." not in text
    assert re.search(r"^permissions:\n  contents: read$", text, re.MULTILINE)


def test_an_action_is_of_one_version_in_all_workflows() -> None:
    used = {use for workflow in WORKFLOWS for use in re.findall(r"uses: (\S+@\S+)", workflow.read_text("utf-8"))}
    names = [use.partition("@")[0] for use in used]
    assert len(names) == len(set(names))


def test_every_command_of_the_workflows_exists() -> None:
    text = "\n".join(workflow.read_text("utf-8") for workflow in WORKFLOWS)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"\bmake ([a-z-]+)", text))
    assert targets >= {"lint", "wheels", "reproducible", "site"}
    assert [target for target in targets if not re.search(rf"^{target}:", makefile, re.MULTILINE)] == []
    assert "bash .ci/run" in text
    modules = set(re.findall(r"-m release\.(\w+)", text)) | set(re.findall(r"release/(\w+)\.py", text))
    assert modules
    assert [module for module in modules if not (ROOT / "release" / f"{module}.py").is_file()] == []


def test_only_a_tag_of_cargos_version_is_published() -> None:
    text = (ROOT / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8")
    assert "id-token: write" in text
    assert text.count("id-token: write") == 1
    assert "environment: pypi" in text
    assert '"v$(python -m release.version --print)" = "$GITHUB_REF_NAME"' in text
