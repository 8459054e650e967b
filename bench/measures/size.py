"""P6 and P13: import time, memory and size of the wheel."""

import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import trustme

from bench import memory
from bench.checks import check_answers, check_arrivals
from bench.messages import TEXT
from bench.processes import PLUGIN_FILES, ROOT, engine_host, environment
from bench.rows import NOOP, OURS
from bench.run import Run
from tests.harness import http_request

MIB = 1024 * 1024
INTERPRETERS = 10
"""The number of new interpreters per round. The median counts."""
HOST_CALLS = 50
"""Warm-up calls of a plugin of ten lines."""


def start(run: Run) -> None:
    """Import and readiness, each in a new interpreter."""
    pairs = sorted(_fresh() for _ in range(INTERPRETERS))
    run.rows["P6 import"].add(OURS, pairs[INTERPRETERS // 2][0] / 1e6)
    run.rows["P6 ready"].add(OURS, sorted(ready for _, ready in pairs)[INTERPRETERS // 2] / 1e6)


def first_memory(run: Run) -> None:
    """The memory growth of the engine host by its first notification, which loads the library and connects by TLS."""
    row = run.rows["P6 memory"]
    if not memory.AVAILABLE:
        row.not_run = "this system has no /proc/PID/status"
        return
    with tempfile.TemporaryDirectory() as path, engine_host(Path(path)) as host:
        (Path(path) / "ten.py").write_text(PLUGIN_FILES[NOOP].read_text(encoding="utf-8"), encoding="utf-8")
        file = Path(path) / "notifier.toml"
        file.write_text(_tls_receiver(run, Path(path)), encoding="utf-8")
        plain = host.create_trigger("ten", "ten.py")
        ours = host.create_trigger("tls", "notify.py", {"config_file_path": str(file)})
        body = json.dumps({"notification_text": TEXT, "receivers": ["sink"]}).encode()
        for _ in range(HOST_CALLS):
            http_request("POST", plain, body=body)
        run.standin.clear()
        before = memory.resident(host.pid)
        answer = http_request("POST", ours, body=body).json
        after = memory.resident(host.pid)
    check_answers(row.id, OURS, 1, [sum(entry["outcome"] == "delivered" for entry in answer["deliveries"])])
    check_arrivals(row.id, OURS, 1, run.standin.sink()["requests"])
    row.add(OURS, (after - before) / MIB)


def _tls_receiver(run: Run, directory: Path) -> str:
    """A TLS receiver with a certificate authority in a file. The system's certificates are loaded too."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(directory / "ca.pem")
    server = authority.issue_cert("localhost")
    chain = b"".join(blob.bytes() for blob in server.cert_chain_pems)
    port = run.standin.tls(chain, server.private_key_pem.bytes())["port"]
    return f'[receivers.sink.http]\nwebhook_url = "https://localhost:{port}/sink/0/hook/0"\nca_file = "ca.pem"\n'


def _fresh() -> Any:
    command = [sys.executable, "-m", "bench.fresh"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, env=environment())
    return json.loads(done.stdout)


def wheel(run: Run) -> None:
    """The release wheel and the library in it."""
    path = newest_wheel()
    with zipfile.ZipFile(path) as archive:
        library = max(info.file_size for info in archive.infolist() if "_native" in info.filename)
    run.rows["P13 wheel"].add(OURS, path.stat().st_size / MIB)
    run.rows["P13 library"].add(OURS, library / MIB)


def newest_wheel() -> Path:
    """The wheel that ``make bench`` has built."""
    wheels = list((ROOT / "target" / "bench" / "wheels").glob("*.whl"))
    if not wheels:
        raise RuntimeError("there is no wheel in target/bench/wheels: make bench")
    return max(wheels, key=lambda wheel: wheel.stat().st_mtime)
