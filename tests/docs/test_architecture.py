"""The layers in docs/architecture.md are those of the sources: each module uses only lower modules."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs import diagram
from tests.docs.imports import Crate, circles, without_tests
from tests.harness import ROOT

CORE = ROOT / "core" / "src"
CRATES = {"python": ROOT / "src", "jetstream": ROOT / "jetstream" / "src"}
"""Modules that are crates; all others are modules of the core."""
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
LAYER = {module: number for number, modules in enumerate(diagram.LAYERS.values()) for module in modules}


def uses(module: str) -> set[str]:
    """The modules that a module uses, without its tests."""
    folder = CRATES.get(module, CORE / module)
    files = sorted(folder.rglob("*.rs")) if folder.is_dir() else [CORE / f"{module}.rs"]
    root = "notifier_core" if module in CRATES else "crate"
    found: set[str] = set()
    for file in files:
        if "tests" not in file.parts and file.name != "tests.rs":
            text = file.read_text(encoding="utf-8").partition("#[cfg(test)]")[0]
            found |= set(re.findall(rf"\b{root}::(\w+)", text))
            found |= {
                name for group in re.findall(rf"\b{root}::\{{([^}}]*)", text) for name in re.findall(r"\b(\w+)", group)
            }
            found |= {"jetstream"} if "notifier_jetstream::" in text else set()
    return found & set(LAYER) - {module}


def test_every_module_is_in_a_layer() -> None:
    declared = re.findall(r"^pub mod (\w+);", (CORE / "lib.rs").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted([*declared, *CRATES]) == sorted(LAYER)


@pytest.mark.parametrize("module", LAYER)
def test_a_module_uses_only_modules_below_it(module: str) -> None:
    assert {other for other in uses(module) if LAYER[other] <= LAYER[module]} == set()


def test_the_layers_are_used() -> None:
    assert {"model", "transport"} <= uses("delivery")
    assert "jetstream" in uses("python")
    assert uses("model") == {"json", "secret", "text", "warnings"}


def test_a_server_store_uses_nothing_above_its_trait() -> None:
    assert uses("jetstream") <= {"store", "model", "panics", "secret", "text"}


def test_the_core_knows_neither_python_nor_a_server() -> None:
    manifest = tomllib.loads((ROOT / "core" / "Cargo.toml").read_text(encoding="utf-8"))
    assert manifest["dependencies"].keys() & {"pyo3", "pythonize", "async-nats"} == set()


def test_the_picture_shows_the_layers() -> None:
    assert diagram.PICTURE.read_text(encoding="utf-8") == diagram.svg(), "python -m docs.diagram"


def test_the_page_describes_every_module() -> None:
    layers = PAGE.partition("\n## Layers\n")[2].partition("\n## ")[0]
    assert re.findall(r"^- `(\w+)`: ", layers, re.MULTILINE) == list(LAYER)


@pytest.mark.parametrize("sources", ["src", "core/src", "jetstream/src", "standin/src"])
def test_no_two_files_use_each_other(sources: str) -> None:
    edges = Crate(ROOT / sources).edges()
    assert circles(edges) == [], "each of these files reaches each other: define what they share in a file below them"
    assert sum(map(len, edges.values())) > 15


def test_the_imports_of_a_file_are_found(tmp_path: Path) -> None:
    files = {
        "lib.rs": "pub mod a;\nmod b;\npub use b::Shown;\n",
        "a.rs": "use crate::Shown;\nuse crate::b::{self, inner::Deep};\n// use crate::c::No;\nfn f() { b::g(); }\n",
        "b/mod.rs": "pub mod inner;\npub struct Shown;\npub fn g() {}\n#[cfg(test)]\nmod tests { use crate::a::f; }\n",
        "b/inner.rs": 'use super::Shown;\npub struct Deep;\nconst TEXT: &str = "use crate::a::f;";\n',
        "c.rs": "use std::fmt;\nfn f() -> usize { crate::b::inner::COUNT }\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    edges = Crate(tmp_path).edges()
    assert edges == {"": set(), "a": {"b", "b::inner"}, "b": set(), "b::inner": {"b"}, "c": {"b::inner"}}
    assert circles(edges) == []
    assert circles(edges | {"b": {"a"}}) == [["a", "b", "b::inner"]]


# How long files and functions are

MAX_FILE, MAX_FUNCTION = 400, 60
TABLES = {"level_and_text", "hint", "misreply"}
"""Functions with a single match: a line for each event, each store error, each fault."""


def production(file: Path) -> list[str]:
    """The lines of a file up to its tests."""
    lines = file.read_text(encoding="utf-8").splitlines()
    tests = [n for n, line in enumerate(lines) if line == "#[cfg(test)]" and lines[n + 1].startswith("mod tests")]
    return lines[: tests[0]] if tests else lines


def is_test(file: Path) -> bool:
    """Whether it is compiled only for tests."""
    if "tests" in (*file.relative_to(ROOT).parts, file.stem):
        return True
    declared = re.compile(rf"#\[cfg\(test\)\]\n(?:pub )?mod {file.stem};")
    parents = (file.parent / name for name in ("mod.rs", "lib.rs", "main.rs"))
    return any(parent.exists() and declared.search(parent.read_text(encoding="utf-8")) for parent in parents)


def functions(lines: list[str]) -> Iterator[tuple[str, int]]:
    """The name and the number of lines of each function."""
    for start, line in enumerate(lines):
        head = re.match(r"(\s*)(?:pub(?:\([^)]*\))? )?(?:const |async |unsafe )*fn (\w+)", line)
        if head and not line.endswith((";", "}")):
            end = next(n for n in range(start, len(lines)) if re.match(rf"{head[1]}(\}}|\S.*;$)", lines[n]))
            yield head[2], end - start + 1


SAME_NAME = {"Payload": "the request body of a channel, private to its module"}
"""Type names that several modules define, each with the reason why the module qualifies it."""


def test_no_two_types_have_the_same_name() -> None:
    modules: dict[str, list[str]] = {}
    for sources in (CORE, *CRATES.values()):
        for file in sorted(sources.rglob("*.rs")):
            if "tests" in file.parts or file.name == "tests.rs":
                continue
            for name in re.findall(
                r"^(?:pub(?:\([^)]*\))? )?(?:struct|enum|trait|type|union) (\w+)",
                without_tests(file.read_text(encoding="utf-8")),
                re.MULTILINE,
            ):
                modules.setdefault(name, []).append(str(file.relative_to(ROOT)))
    several = {name: files for name, files in modules.items() if len(files) > 1}
    assert several.keys() == SAME_NAME.keys(), several


@pytest.mark.parametrize("crate", ["src", "core/src", "jetstream/src", "standin/src", "bench/native/src"])
def test_files_and_functions_are_short(crate: str) -> None:
    files = [file for file in (ROOT / crate).rglob("*.rs") if not is_test(file)]
    assert files
    found = {file.relative_to(ROOT): production(file) for file in files}
    assert {str(file): len(lines) for file, lines in found.items() if len(lines) > MAX_FILE} == {}
    long = {
        (str(file), name): length
        for file, lines in found.items()
        for name, length in functions(lines)
        if length > MAX_FUNCTION and name not in TABLES
    }
    assert long == {}


# Channels

CHANNELS = CORE / "channels"
MAX_CHANNEL_FILE, MAX_BLOCK = 250, 5


def channel_files() -> list[Path]:
    """The files of single channels, without those that channels share."""
    files = [file for file in sorted(CHANNELS.rglob("*.rs")) if not is_test(file)]
    return [file for file in files if file.relative_to(CHANNELS).parts[0] not in ("shared", "spec", "mod.rs")]


def blocks(file: Path) -> Iterator[tuple[str, ...]]:
    """Each run of one line more than two channels may share, without imports, comments and brackets."""
    text = re.sub(r"^(?:pub )?use [^;]*;|^\s*//.*", "", "\n".join(production(file)), flags=re.MULTILINE)
    lines = [line for line in map(str.strip, text.splitlines()) if re.search(r"\w", line)]
    for start in range(len(lines) - MAX_BLOCK):
        yield tuple(lines[start : start + MAX_BLOCK + 1])


def test_files_of_a_channel_are_short() -> None:
    files = channel_files()
    assert len(files) > 40
    assert [str(file) for file in files if len(production(file)) > MAX_CHANNEL_FILE] == []


def test_no_two_channels_have_the_same_block_of_lines() -> None:
    channels: dict[tuple[str, ...], set[str]] = {}
    for file in channel_files():
        for block in blocks(file):
            channels.setdefault(block, set()).add(file.relative_to(CHANNELS).parts[0])
    assert [block for block, names in channels.items() if len(names) > 1] == [], "move it to channels/shared"


def test_the_length_of_a_function_is_found() -> None:
    lines = [
        "impl A {",
        "    pub fn one(&self) {",
        "        two();",
        "    }",
        "}",
        "fn three(",
        "    a: u8,",
        ") {",
        "}",
    ]
    assert list(functions(lines)) == [("one", 3), ("three", 4)]
