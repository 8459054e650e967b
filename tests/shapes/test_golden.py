"""The comparison with a golden file notices every change of a shape."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.shapes import golden

SHAPE: dict[str, Any] = {
    "task_id": "7b0c2f0e-5a54-4b0c-9d0b-3f2a5e6f7a10",
    "elapsed_ms": 84,
    "deliveries": [{"destination": "http 127.0.0.1:4711#9c41", "reason": None}],
}


def found(value: Any) -> list[str]:
    """The lines that differ between the shape and another value."""
    lines = golden.differences(golden.text_of(SHAPE, {}), golden.text_of(value, {}))
    return [line for line in lines if line[0] in "+-" and line[:3] not in ("+++", "---")]


def test_values_that_differ_between_runs_are_equal() -> None:
    other = {
        "task_id": "00000000-0000-4000-8000-000000000000",
        "elapsed_ms": 0,
        "deliveries": [{"destination": "http 127.0.0.1:1#0000", "reason": None}],
    }
    assert found(other) == []
    assert json.loads(golden.text_of(SHAPE, {})) == {
        "task_id": "<task>",
        "elapsed_ms": "<milliseconds>",
        "deliveries": [{"destination": "http 127.0.0.1:<port>#<digest>", "reason": None}],
    }


@pytest.mark.parametrize(
    "changed",
    [
        {**SHAPE, "elapsed_ms": None},
        {**SHAPE, "elapsed_ms": [84]},
        {**SHAPE, "elapsed_ms": True},
        {**SHAPE, "task_id": "7b0c2f0e"},
        {**SHAPE, "deliveries": []},
        {**SHAPE, "deliveries": [{"destination": "http 127.0.0.1:4711#9c41", "reason": "timeout"}]},
        {**SHAPE, "deliveries": [{"destination": "http 127.0.0.1:4711", "reason": None}]},
        {**SHAPE, "added": None},
        {**SHAPE, "deliveries": [{**SHAPE["deliveries"][0], "added": None}]},
        {name: value for name, value in SHAPE.items() if name != "elapsed_ms"},
        {**SHAPE, "deliveries": [{"destination": "http 127.0.0.1:4711#9c41"}]},
        dict(reversed(SHAPE.items())),
    ],
    ids=[
        "a number became null",
        "a number became a list",
        "a number became a boolean",
        "an identity has another form",
        "an item is missing",
        "a value is another",
        "a part of a text is missing",
        "a member is additional",
        "an inner member is additional",
        "a member is missing",
        "an inner member is missing",
        "the order is another",
    ],
)
def test_a_change_of_the_shape_is_found(changed: Any) -> None:
    assert found(changed)


def test_a_golden_file_that_no_test_names_is_found() -> None:
    sources = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    files = [path.relative_to(golden.FOLDER).with_suffix("").as_posix() for path in golden.FOLDER.rglob("*.json")]
    assert files
    assert [name for name in files if f'"{name}"' not in sources] == []
