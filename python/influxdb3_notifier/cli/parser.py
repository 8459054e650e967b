"""A parser that suggests the nearest command, option or value for a mistyped one."""

import argparse
import difflib
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn


class Parser(argparse.ArgumentParser):
    """The parser of one command. It does not wrap descriptions, and prints errors in two lines."""

    def __init__(self, **keywords: Any) -> None:
        super().__init__(**{"formatter_class": argparse.RawDescriptionHelpFormatter, **keywords})

    def parse_known_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """Reject unknown arguments in the parser that finds them, so that the error has that command's usage."""
        namespace, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(", ".join(self._unknown(word) for word in unknown))
        return namespace, unknown

    def error(self, message: str) -> NoReturn:
        """Print the usage in one line and the message, and exit."""
        self.exit(2, f"{self._usage_line()}\n{self.prog}: error: {message}\n")

    def _usage_line(self) -> str:
        words = [self.prog, "[OPTION]..."]
        for action in self._actions:
            if not action.option_strings:
                name = str(action.metavar or action.dest)
                words.append({"?": f"[{name}]", "+": f"{name}...", "*": f"[{name}]..."}.get(str(action.nargs), name))
        return f"usage: {' '.join(words)} (see --help)"

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
    """The error for a word that is not one of a few: suggests the nearest word, or lists all.

    :param what: the kind of word, such as ``value``.
    """
    known = list(known)
    # With few words a lower similarity is enough: `Fired` suggests `firing`.
    suggestion = did_you_mean(word, known, cutoff=0.5) or f"; choose from {', '.join(known)}"
    return f"unknown {what}: {word}{suggestion}"


def did_you_mean(word: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """``; did you mean --resolve?``, or an empty string if no known word is similar.

    :param cutoff: the minimum similarity, from 0 to 1.
    """
    by_lower_case = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower(), by_lower_case, n=1, cutoff=cutoff)
    return f"; did you mean {by_lower_case[near[0]]}?" if near else ""
