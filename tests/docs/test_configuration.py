"""docs/configuration.md: its generated list of arguments matches the plugin's docstring and triggers."""

import json
import re
from dataclasses import dataclass
from typing import Any

import pytest

from tests.harness import PLUGIN, ROOT, Engine, Notify

DOCUMENT = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
UNITS = {"ms": 0.001, "s": 1, "min": 60, "h": 3600, "d": 86400}


@dataclass
class Argument:
    """An entry of the list."""

    name: str
    default: str
    values: str

    def examples(self) -> set[str]:
        """The bounds, the possible values, or the example."""
        return set(re.findall(r"`([^`]+)`", self.values)) or set(self.values.split(" to "))


def documented() -> list[Argument]:
    table = DOCUMENT.partition("<!-- table: arguments with bounds -->")[2].partition("<!-- end")[0]
    rows = re.findall(r"^- `(\w+)` \(([^;]*); (.*?)\): ", table, re.MULTILINE)
    return [Argument(name, default.strip("`"), values) for name, default, values in rows]


def docstring() -> dict[str, dict[str, Any]]:
    """The entries that Explorer shows for requests and writes, by name."""
    metadata = json.loads(PLUGIN.read_text(encoding="utf-8").split('"""', 2)[1])
    lists = [metadata.get(f"{kind}_args_config", []) for kind in ("onwrite", "http")]
    return {entry["name"]: entry for entries in lists for entry in entries}


def size(text: str) -> float | None:
    """A number, or a duration in seconds; None: neither."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|min|h|d)?", text)
    return float(found[1]) * UNITS.get(found[2], 1) if found else None


def sizes(text: str) -> set[float]:
    found = (size(word.strip(".,;:")) for word in text.split())
    return {number for number in found if number is not None}


def test_the_list_is_parsed() -> None:
    assert len(documented()) > 10


def in_the_form() -> list[Argument]:
    """The common arguments, which the docstring names."""
    return [argument for argument in documented() if argument.name in docstring()]


def test_the_docstring_names_no_argument_that_is_not_documented() -> None:
    assert set(docstring()) <= {argument.name for argument in documented()}


@pytest.mark.parametrize("argument", in_the_form(), ids=lambda argument: str(argument.name))
def test_the_docstring_and_the_table_agree_on_bounds_and_defaults(argument: Argument) -> None:
    description = docstring()[argument.name]["description"]
    before, separator, default = description.rpartition("Default: ")
    assert separator, "says a default"
    assert sizes(argument.values) <= sizes(before)
    if argument.default != "none":
        given = default.replace(",", " ").split()[0].rstrip(".")
        assert (size(given) or given) == (size(argument.default) or argument.default)
    if "`, `" in argument.values:
        assert [word for word in argument.examples() if word not in f"{description} true false"] == []


@pytest.mark.parametrize("argument", documented(), ids=lambda argument: str(argument.name))
def test_examples_of_the_table_and_the_docstring_are_valid(argument: Argument, notify: Notify, engine: Engine) -> None:
    # The file in the examples, with the names that they use.
    receivers = [f'[receivers.{name}]\nhttp.webhook_url = "https://{name}.example"\n' for name in ("oncall", "backup")]
    template = '[templates.short]\ntext = "{{ notification.text }}"\n'
    (engine.plugin_dir / "notifier.toml").write_text("".join([*receivers, template]))
    shown = docstring().get(argument.name)
    for example in argument.examples() | ({shown["example"]} if shown else set()):
        arguments = {argument.name: example}
        if argument.name in ("default_receivers", "template"):
            arguments["config_file_path"] = "notifier.toml"
        response = notify(b"", query={"view": "status"}, method="GET", args=arguments).json
        assert (response["status"], response["warnings"]) == ("ok", []), example
