"""Runs the suites named on the command line and ends with one total: ``python -m tests.run_all rust docs python``."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# The default members: with others beside them, shared crates would be compiled with other features once more.
CARGO = ["--locked"]
EMBEDDING = ["--workspace", "--exclude=influxdb3-notifier", "--exclude=bench", "--test=wheel"]
COUNT = re.compile(r"(\d+) (passed|failed|errors?|skipped|ignored)\b")
# The lines on which nextest, cargo test and pytest sum up.
SUMMARY = re.compile(r"Summary \[|^test result:|^=* ?\d+ (?:passed|failed|skipped|error).* in [\d.:]+")


@dataclass
class Suite:
    """A command, or the reason why it is not run."""

    command: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    not_run: str | None = None


@dataclass
class Outcome:
    """The result of a suite."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    not_run: str | None = None
    status: int = 0

    def __str__(self) -> str:
        if self.not_run:
            return f"not run: {self.not_run}"
        text = f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"
        return f"{text} (exit status {self.status})" if self.status else text


def rust() -> Suite:
    """Unit and integration tests, without the Python binding."""
    nats_server = Path(sysconfig.get_path("scripts")) / "nats-server"
    environment = {"NATS_SERVER": os.environ.get("NATS_SERVER", str(nats_server))}
    if shutil.which("cargo-nextest"):
        return Suite(["cargo", "nextest", "run", "--no-fail-fast", *CARGO], environment)
    return Suite(["cargo", "test", "--no-fail-fast", "--lib", "--bins", "--tests", *CARGO], environment)


def docs() -> Suite:
    """The examples in the documentation of the crates."""
    return Suite(["cargo", "test", "--no-fail-fast", "--doc", *CARGO])


def python() -> Suite:
    """The package, the plugin file and all end-to-end tests, in two processes."""
    return Suite([sys.executable, "-m", "pytest", "-q", "-n2", "--dist=loadfile", "--no-loadscope-reorder"])


def embedding() -> Suite:
    """The wheel in an embedded interpreter of a Rust program."""
    if not (ROOT / "tests" / "embedding" / "Cargo.toml").is_file():
        return Suite(not_run="the test is not in this tree")
    library = shared_libpython()
    if library is None:
        return Suite(not_run=f"{sys.executable} has no shared libpython")
    variable = "DYLD_LIBRARY_PATH" if sys.platform == "darwin" else "LD_LIBRARY_PATH"
    environment = {
        "PYO3_PYTHON": sys.executable,
        variable: ":".join(filter(None, [str(library.parent), os.environ.get(variable)])),
        "EMBEDDING_PYTHONHOME": sys.base_prefix,
        "EMBEDDING_SITE_PACKAGES": sysconfig.get_path("purelib"),
    }
    return Suite(["cargo", "test", "--no-fail-fast", *CARGO, *EMBEDDING], environment)


def shared_libpython() -> Path | None:
    """The library that an embedding program of this interpreter is linked to; None where it is static."""
    name, directory = sysconfig.get_config_var("LDLIBRARY"), sysconfig.get_config_var("LIBDIR")
    if not sysconfig.get_config_var("Py_ENABLE_SHARED") or not name or not directory:
        return None
    library = Path(directory) / name
    return library if library.exists() else None


SUITES = {"rust": rust, "docs": docs, "python": python, "embedding": embedding}


def run(suite: Suite) -> Outcome:
    """Run a suite, show its output, and count its tests."""
    if suite.not_run:
        return Outcome(not_run=suite.not_run)
    print("+", *suite.command, flush=True)
    outcome = Outcome()
    with subprocess.Popen(
        suite.command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        cwd=ROOT,
        env=os.environ | suite.environment,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            if SUMMARY.search(line):
                count(line, outcome)
    outcome.status = process.returncode
    return outcome


def count(line: str, outcome: Outcome) -> None:
    """Add the numbers of a summary line."""
    for number, word in COUNT.findall(line):
        if word == "passed":
            outcome.passed += int(number)
        elif word in ("skipped", "ignored"):
            outcome.skipped += int(number)
        else:
            outcome.failed += int(number)


def main() -> int:
    """Run all suites, even after a failure; returns 0 if all passed."""
    outcomes = {name: run(SUITES[name]()) for name in sys.argv[1:]}
    total = Outcome()
    print()
    for name, outcome in outcomes.items():
        print(f"{name + ':':<11}{outcome}")
        total.passed += outcome.passed
        total.failed += outcome.failed
        total.skipped += outcome.skipped
    broken = [name for name, outcome in outcomes.items() if outcome.status]
    verdict = f"FAILED: {', '.join(broken)}" if broken else "ok"
    print(f"{'total:':<11}{total} - {verdict}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
