"""Every test that a document names exists."""

import re

from tests.harness import ROOT

SOURCES = [
    *(file for crate in ("src", "core", "jetstream", "tests") for file in (ROOT / crate).rglob("*.rs")),
    *(ROOT / "tests").rglob("test_*.py"),
]
TESTS = {
    name
    for source in SOURCES
    for name in re.findall(r"^\s*(?:async )?(?:def|fn) (\w+)\(", source.read_text(encoding="utf-8"), re.MULTILINE)
}


def tables_with_tests(text: str) -> list[str]:
    """The rows of the tables whose last column is `Held by`."""
    rows = []
    for table in re.findall(r"^\|[^\n]*\| Held by \|\n\|[ \-|]+\|\n((?:\|.*\n?)+)", text, re.MULTILINE):
        rows += table.splitlines()
    return rows


def unknown_tests(names: str) -> list[str]:
    """Of the names in backticks those that no test has."""
    named = re.findall(r"`(\w+)`", names)
    assert named, names
    return [name for name in named if name not in TESTS]


def test_every_row_of_the_migration_names_a_test_that_exists() -> None:
    rows = tables_with_tests((ROOT / "docs" / "migration.md").read_text(encoding="utf-8"))
    assert rows
    for row in rows:
        assert unknown_tests(row.strip("| ").rpartition(" | ")[2]) == [], row


def test_every_promise_names_a_test_that_exists() -> None:
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    section = text.partition("\n## Promises\n")[2].partition("\n## ")[0]
    promises = re.findall(r"^- .*?(?=\n- |\n\n|\Z)", section, re.MULTILINE | re.DOTALL)
    assert len(promises) > 30
    for promise in promises:
        _, _, names = " ".join(promise.split()).rpartition(": `")
        assert unknown_tests(f"`{names}") == [], promise
