"""A parser that answers a mistyped command, flag or value with the nearest known one."""

import argparse
import difflib
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn


class Parser(argparse.ArgumentParser):
    """The parser of one command, with the help as it is written and errors in two lines."""

    def __init__(self, **keywords: Any) -> None:
        super().__init__(**{"formatter_class": argparse.RawDescriptionHelpFormatter, **keywords})

    def parse_known_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """Refuse what is unknown where it is found: the usage is then that of the command it was given to."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(", ".join(self._unknown(word) for word in unknown))
        return found, unknown

    def error(self, message: str) -> NoReturn:
        """End with the usage in one line and the message."""
        self.exit(2, f"{self._usage_line()}\n{self.prog}: error: {message}\n")

    def _usage_line(self) -> str:
        words = [self.prog, "[OPTION]..."]
        for action in self._actions:
            if not action.option_strings:
                name = str(action.metavar or action.dest)
                words.append({"?": f"[{name}]", "+": f"{name}...", "*": f"[{name}]..."}.get(str(action.nargs), name))
        return f"usage: {' '.join(words)} (--help has all options)"

    def _unknown(self, word: str) -> str:
        flag = word.partition("=")[0]
        if not flag.startswith("-"):
            return f"unexpected argument: {word}"
        return f"unknown option: {flag}{did_you_mean(flag, self._option_string_actions)}"

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            if isinstance(action, argparse._SubParsersAction):
                raise argparse.ArgumentError(None, unknown_word("command", value, action.choices))
            raise argparse.ArgumentError(action, unknown_word("value", value, action.choices))


def unknown_word(what: str, word: str, known: Iterable[str]) -> str:
    """What is said of a word that is none of a few: the nearest one, or all.

    :param what: such as ``value``.
    """
    known = list(known)
    # Of a few words one that is less like it is meant too: `Fired` is `firing`.
    meant = did_you_mean(word, known, likeness=0.5) or f"; there are {', '.join(known)}"
    return f"unknown {what}: {word}{meant}"


def did_you_mean(word: str, known: Iterable[str], likeness: float = 0.6) -> str:
    """``; did you mean --resolve?``; empty where nothing is near.

    :param likeness: what counts as near, from 0 to 1.
    """
    spelled = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower(), spelled, n=1, cutoff=likeness)
    return f"; did you mean {spelled[near[0]]}?" if near else ""
