"""The stand-in providers."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode

from tests.harness.http import Client
from tests.harness.processes import ROOT, eventually, until_json_line


class Standin:
    """A process of the program ``standin``, and its control interface."""

    def __init__(self, program: Path | None = None) -> None:
        program = program or standin_program()
        self._process = subprocess.Popen(
            [str(program), "--listen", "127.0.0.1:0", "--until-stdin-closes"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        ready = until_json_line(self._process)
        self.url: str = ready["url"]
        self.port: int = ready["port"]
        self._client = Client(self.url)

    def requests(self, path: str = "") -> list[dict[str, Any]]:
        """The requests to paths that begin with ``path``, oldest first."""
        return list(self._control("GET", "requests?" + urlencode({"path": path})))

    def bodies(self, path: str = "") -> list[Any]:
        """The JSON bodies of these requests, without requests that are still being read."""
        return [json.loads(request["body"]) for request in self.requests(path) if request["body"]]

    def messages(self) -> list[dict[str, Any]]:
        """The messages that the providers accepted, oldest first."""
        return list(self._control("GET", "messages"))

    def wait_for(self, path: str, count: int = 1, *, timeout: float = 10.0) -> list[dict[str, Any]]:
        """Wait until ``count`` requests at ``path`` have a reply, and return them."""

        def answered() -> list[dict[str, Any]]:
            found = [request for request in self.requests(path) if request["status"] is not None]
            return found if len(found) >= count else []

        return list(eventually(answered, f"{count} requests at {path}", timeout=timeout))

    def clear(self) -> None:
        """Delete all records and rules, and close all faults."""
        self._control("DELETE", "all")

    def sink(self) -> dict[str, Any]:
        """Counts of the requests below ``/sink/`` since :meth:`clear`: ``requests``, ``body_bytes``, ``by_kind``."""
        return dict(self._control("GET", "sink"))

    def rule(self, path: str, **order: object) -> None:
        """Set a rule for a path: ``times``, ``delay_ms``, ``reply``, ``hang``, ``take``, ``rate_limit`` …"""
        self._control("POST", "rules", {"path": path, **order})

    def clear_rules(self) -> None:
        """Delete all rules. The records remain."""
        self._control("DELETE", "rules")

    def fault(self, kind: str, **parameters: object) -> dict[str, Any]:
        """Open a socket that misbehaves; returns its ``port`` and ``url``."""
        return dict(self._control("POST", "faults", {"kind": kind, **parameters}))

    def fault_report(self, port: int) -> dict[str, Any]:
        """The record of the fault on ``port``."""
        return dict(self._control("GET", f"faults/{port}"))

    def tls(self, certificate: bytes | str, key: bytes | str, client_ca: bytes | str = "") -> dict[str, Any]:
        """Open the same providers behind TLS with this chain and key (PEM); returns ``port`` and ``url``.

        :param client_ca: the authority whose certificate clients must have.
        """
        pem = {"cert_pem": _text(certificate), "key_pem": _text(key), "client_ca_pem": _text(client_ca)}
        return dict(self._control("POST", "tls", pem))

    def stop(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _control(self, method: str, what: str, body: object = None) -> Any:
        content = b"" if body is None else json.dumps(body).encode()
        response = self._client.request(method, f"/_standin/{what}", content)
        if response.status >= 300:
            raise RuntimeError(f"{method} /_standin/{what}: {response.status} {response.text}")
        return response.json


def _text(pem: bytes | str) -> str:
    return pem.decode() if isinstance(pem, bytes) else pem


def standin_program() -> Path:
    """The path of the stand-in's program."""
    program = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug" / "standin"
    if not program.exists():
        raise RuntimeError(f"{program} does not exist: run make build")
    return program
