"""An engine with secrets in its environment."""

from collections.abc import Iterator
from contextlib import ExitStack
from urllib.parse import quote

import pytest

from tests.harness import ProcessEngine, Standin, Triggers
from tests.leaks.secrets import new_account, new_secret, new_word


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    """Secrets of the server's environment."""
    return {"sid": new_account(), "token": new_word(), "proxy": new_secret()}


@pytest.fixture(scope="module")
def engine(
    environment: dict[str, str], standin_process: Standin, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ProcessEngine]:
    """An engine with secrets in its environment, and the stand-in as its proxy."""
    credentials = f"user:{quote(environment['proxy'], safe='')}"
    variables = {
        "TWILIO_SID": environment["sid"],
        "TWILIO_TOKEN": environment["token"],
        "http_proxy": standin_process.url.replace("://", f"://{credentials}@"),
        "no_proxy": "127.0.0.1,localhost",
    }
    with ProcessEngine(tmp_path_factory.mktemp("leaks"), environment=variables) as engine:
        yield engine


@pytest.fixture
def own_triggers(engine: ProcessEngine) -> Iterator[Triggers]:
    """Creates triggers on that engine."""
    with ExitStack() as stack:
        yield Triggers(engine, stack)
