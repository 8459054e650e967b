"""Every test that a document names exists."""

import re

import pytest

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


@pytest.mark.parametrize("document", ["SECURITY.md", "docs/migration.md"])
def test_every_row_names_a_test_and_every_named_test_exists(document: str) -> None:
    rows = tables_with_tests((ROOT / document).read_text(encoding="utf-8"))
    assert rows
    for row in rows:
        named = re.findall(r"`(\w+)`", row.strip("| ").rpartition(" | ")[2])
        assert named, row
        assert [name for name in named if name not in TESTS] == [], row
