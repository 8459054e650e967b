"""Promises of SECURITY.md that belong to no single fault."""

from tests import harness
from tests.conftest import Notify
from tests.harness import Standin

def test_headers_of_the_connection_and_with_line_breaks_are_dropped(notify: Notify, standin: Standin) -> None:
    framing = ["Content-Length", "transfer-encoding", "Connection", "Keep-Alive", "Upgrade", "TE", "Trailer", "Expect"]
    given = dict.fromkeys([*framing, "Proxy-Authorization"], "1")
    given |= {"X-Lines": "a\r\nX-Smuggled: 1", "Bad Name": "1", "X-Kept": "kept"}
    configuration = {"http_webhook_url": f"{standin.url}/hook/headers", "http_headers": harness.encode_headers(given)}
    answer = notify({"notification_text": "x", "senders_config": {"http": configuration}}).json
    assert answer["results"] == {"http": True}
    dropped = [name for name in given if any(f"`{name}`" in warning for warning in answer["warnings"])]
    assert dropped == [name for name in given if name != "X-Kept"]
    (arrived,) = standin.requests("/hook/headers")
    sent = {name.lower(): value for name, value in arrived["headers"]}
    assert sent["x-kept"] == "kept"
    assert sent["content-length"] == str(len('{"message":"x"}'))
    assert not set(sent) & {"x-lines", "x-smuggled", "proxy-authorization", "transfer-encoding", "upgrade", "te"}
