"""A server wants a token with every request, as one that is started without further flags does."""

from base64 import b64encode
from pathlib import Path

import pytest

from tests.engine_host.host import EngineHost
from tests.harness import http_request


def basic(token: str) -> str:
    return "Basic " + b64encode(f"anybody:{token}".encode()).decode()


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("Bearer {token}", 204),
        ("bearer {token}", 204),
        ("Token {token}", 204),
        ("Bearer {token}x", 401),
        ("Bearer ", 401),
        ("{token}", 401),
        ("Digest {token}", 401),
        ("Basic {token}", 401),
        (None, 401),
    ],
)
def test_a_request_needs_the_token(tmp_path: Path, header: str | None, status: int) -> None:
    with EngineHost(tmp_path) as host:
        headers = {} if header is None else {"Authorization": header.format(token=host.token)}
        url = f"{host.url}/api/v3/write_lp?db=notifications&no_sync=true"
        response = http_request("POST", url, body=b"m n=1", headers=headers)
        assert response.status == status, response.text
        assert response.header("WWW-Authenticate") is None


def test_the_password_of_basic_authentication_is_the_token(tmp_path: Path) -> None:
    with EngineHost(tmp_path) as host:
        assert host.token is not None
        for token, status in ((host.token, 404), ("other", 401)):
            response = http_request("GET", f"{host.url}/api/v3/engine/x", headers={"Authorization": basic(token)})
            assert response.status == status


def test_a_new_server_creates_its_first_token_once_and_refuses_requests_before(tmp_path: Path) -> None:
    with EngineHost(tmp_path, create_token=False) as host:
        assert http_request("GET", f"{host.url}/health").status == 200
        path = f"{host.url}/api/v3/engine/x"
        assert http_request("GET", path, headers={"Authorization": "Bearer None"}).status == 401
        token = http_request("POST", f"{host.url}/api/v3/configure/token/admin").json["token"]
        assert http_request("GET", path, headers={"Authorization": f"Bearer {token}"}).status == 404
        assert http_request("POST", f"{host.url}/api/v3/configure/token/admin").status == 409


def test_a_server_without_authentication_needs_no_token(tmp_path: Path) -> None:
    with EngineHost(tmp_path, authentication=False) as host:
        assert http_request("GET", f"{host.url}/api/v3/engine/x").status == 404
