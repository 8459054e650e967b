"""The dependencies between a crate's files, from the paths in the sources.

Read as text, without the compiler: tests, comments and strings are left out, paths in macros are not seen.
"""

import re
from collections.abc import Iterator
from pathlib import Path

IGNORED = re.compile(r'//[^\n]*|/\*.*?\*/|r(#*)".*?"\1|"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])\'', re.DOTALL)
TEST = re.compile(r"#\[cfg\((?:test|all\(test[^)]*\)|fuzzing)\)\]\s*")
USE = re.compile(r"^[ \t]*(pub(?:\([^)]*\))?\s+)?use\s+([^;]+);", re.MULTILINE)
PATH = re.compile(r"\b((?:crate|self|super)(?:::\w+)+)")
DEFINED = re.compile(r"\b(?:fn|struct|enum|trait|type|const|static|union|mod|macro_rules!)\s+(?:mut\s+)?(\w+)")


def without_tests(source: str) -> str:
    """Rust source without comments, strings and test code."""
    text = IGNORED.sub(" ", source)
    while match := TEST.search(text):
        text = text[: match.start()] + text[_end_of_item(text, match.end()) :]
    return text


def _end_of_item(text: str, start: int) -> int:
    """The end of the item that begins at ``start``: after its semicolon or its closing brace."""
    depth = 0
    for place in range(start, len(text)):
        if text[place] == ";" and depth == 0:
            return place + 1
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if text[place] == "}" and depth == 0:
            return place + 1
    return len(text)


def paths(tree: str) -> Iterator[str]:
    """Every path of the tree behind ``use``: ``a::{b, c::d as e}`` has ``a::b`` and ``a::c::d``."""
    tree = tree.strip()
    head, brace, rest = tree.partition("{")
    if not brace:
        yield tree.split(" as ")[0].replace(" ", "")
        return
    depth, item = 0, ""
    for character in rest[: rest.rindex("}")] + ",":
        if character == "," and depth == 0:
            if item.strip():
                yield from paths(head + item.strip())
            item = ""
            continue
        depth += {"{": 1, "}": -1}.get(character, 0)
        item += character


class Crate:
    """The files of one crate, by their modules."""

    def __init__(self, sources: Path) -> None:
        self._texts = {
            _module(file.relative_to(sources)): without_tests(file.read_text(encoding="utf-8"))
            for file in sorted(sources.rglob("*.rs"))
            if "tests" not in file.parts and file.name not in {"tests.rs", "main.rs"} and "bin" not in file.parts
        }
        self._exports = {module: dict(self._exported(module)) for module in self._texts}

    def edges(self) -> dict[str, set[str]]:
        """The modules whose items each module names; a module's name is its path, joined by ``::``."""
        return {"::".join(module): self._named(module) for module in self._texts}

    def _named(self, module: tuple[str, ...]) -> set[str]:
        text = self._texts[module]
        named = {path for match in USE.finditer(text) if not match[1] for path in paths(match[2])}
        named |= set(PATH.findall(USE.sub("", text)))
        found = (self._definer(self._absolute(module, path.split("::"))) for path in named)
        return {"::".join(other) for other in found if other is not None and other != module}

    def _exported(self, module: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...]]]:
        """The items that a module re-exports, by their names in this module."""
        for match in USE.finditer(self._texts[module]):
            for path in paths(match[2]) if match[1] else ():
                absolute = self._absolute(module, path.split("::"))
                if absolute:
                    yield absolute[-1], absolute

    def _absolute(self, module: tuple[str, ...], path: list[str]) -> tuple[str, ...] | None:
        """A path from the crate's root; ``None``: it is another crate's."""
        if path[0] == "crate":
            return tuple(path[1:])
        here = module
        if path[0] == "self":
            path = path[1:]
        elif path[0] == "super":
            while path and path[0] == "super":
                here, path = here[:-1], path[1:]
        elif (*module, path[0]) not in self._texts:
            return None
        return (*here, *path)

    def _definer(self, path: tuple[str, ...] | None) -> tuple[str, ...] | None:
        """The module that defines the item of a path."""
        for _ in range(9):
            if not path:
                return None
            module = max((path[:length] for length in range(len(path) + 1) if path[:length] in self._texts), key=len)
            if module == path:
                return module
            item = path[len(module)]
            handed_on = self._exports[module].get(item)
            if handed_on is None or item in DEFINED.findall(self._texts[module]):
                return module if module else None
            path = (*handed_on, *path[len(module) + 1 :])
        return None


def _module(file: Path) -> tuple[str, ...]:
    parts = file.with_suffix("").parts
    return parts[:-1] if parts[-1] in {"mod", "lib"} else parts


def circles(edges: dict[str, set[str]]) -> list[list[str]]:
    """Cycles: groups of modules that all depend on each other."""
    reached = {module: _reached(module, edges) for module in edges}
    groups = {
        tuple(sorted(other for other in reached[module] if module in reached.get(other, set()))) for module in edges
    }
    return sorted([*group] for group in groups if len(group) > 1)


def _reached(module: str, edges: dict[str, set[str]]) -> set[str]:
    found: set[str] = set()
    ahead = [module]
    while ahead:
        for other in edges.get(ahead.pop(), set()) - found:
            found.add(other)
            ahead.append(other)
    return found
