"""All outputs of the notifier, and the search for secrets in them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from tests.harness import ProcessEngine, Trigger
from tests.leaks.echoes import ECHOES, in_base64
from tests.leaks.secrets import MARKED

FAST = {
    "max_attempts": "2",
    "initial_backoff": "10ms",
    "max_backoff": "10ms",
    "response_timeout": "4s",
    "history_table": "history",
}
"""Trigger arguments with short deadlines and a history."""
HEAD = 8
"""Characters by which forms of secrets are looked up: one pass over a text finds any number of them."""


@dataclass
class Outputs:
    """All outputs of the notifier."""

    shown: dict[str, str] = field(default_factory=dict)
    _searched: ClassVar[dict[int, int]] = {}
    """The number of searched history lines by engine process, so that each line is searched once."""

    def add(self, name: str, text: str) -> None:
        """Add an output."""
        self.shown[f"{name} #{len(self.shown)}"] = text

    def of(self, trigger: Trigger, engine: ProcessEngine, *, sends: bool = True) -> None:
        """Add a trigger's log, views and history."""
        self.add("log", "\n".join(row["log_text"] for row in engine.logs(trigger.name)))
        for view in ("status", "metrics", "alerts"):
            self.add(f"{view} view", trigger.notify(b"", query={"view": view}, method="GET").text)
        # The views have written the remaining lines.
        history = engine.lines()
        assert not sends or any(line.startswith("history,sender=") for line in history)
        self.add("history", "\n".join(history[self._searched.get(engine.pid, 0) :]))
        self._searched[engine.pid] = len(history)
        self.add("standard error", engine.errors())

    def show_none(self, secrets: Mapping[str, str]) -> None:
        """Fail if an output shows a secret; the error names the secrets and the outputs."""
        forms = forms_by_head(secrets)
        leaks = set()
        for name, text in self.shown.items():
            # The text unchanged, and without characters that hide a secret from a search but not from a reader.
            for plain in (text, re.sub(r"[\u200b\0\s\\]|u200b", "", text)):
                leaks |= {f"{name}: {plain[max(0, m.start() - 40) : m.end() + 40]!r}" for m in MARKED.finditer(plain)}
            for at in range(len(text)):
                found = forms.get(text[at : at + HEAD], ())
                leaks |= {f"{name}: {place}" for form, place in found if text.startswith(form, at)}
        assert sorted(leaks) == []


def forms_by_head(secrets: Mapping[str, str]) -> dict[str, set[tuple[str, str]]]:
    """All forms in which a secret may be shown, each with its place, by their first :data:`HEAD` characters."""
    by_head: dict[str, set[tuple[str, str]]] = {}
    for place, secret in secrets.items():
        forms = [form(secret) for form in ECHOES.values()]
        # Without the base64 characters that also encode neighbouring bytes.
        forms += [encoded[4:-4] for encoded in (in_base64(b)(secret)[:-12] for b in ("", "a", "ab"))]
        forms.append(secret.removeprefix("+"))
        for form in forms:
            if len(form) >= HEAD:
                by_head.setdefault(form[:HEAD], set()).add((form, place))
    return by_head
