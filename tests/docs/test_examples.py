"""Every example runs with the documented result."""

import importlib

import pytest

from tests.harness import ROOT

EXAMPLES = sorted(path.stem for path in (ROOT / "examples").glob("*.py"))


def test_there_are_examples() -> None:
    assert "ten_destinations" in EXAMPLES


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_gives_the_documented_response(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    status = importlib.import_module(f"examples.{name}").main()
    assert status == 0, capsys.readouterr().out
