"""The fixtures of end-to-end tests: the stand-in's control interface, and triggers."""

import trustme

from tests import harness
from tests.harness import Notify, Standin, Triggers


def test_the_standin_records_requests_until_it_is_cleared(standin: Standin) -> None:
    harness.http_request("POST", f"{standin.url}/hook/a", body=b"{}", headers={"Content-Type": "application/json"})
    assert [(request["provider"], request["status"]) for request in standin.wait_for("/hook/a")] == [("webhook", 200)]
    assert standin.requests("/hook/b") == []
    standin.clear()
    assert standin.requests() == standin.messages() == []


def test_a_rule_applies_to_its_path_until_it_is_cleared(standin: Standin) -> None:
    standin.rule("/hook/a", reply={"status": 503}, times=1)
    statuses = [harness.http_request("POST", f"{standin.url}/hook/a", body=b"{}").status for _ in range(2)]
    assert statuses[0] == 503
    assert statuses[1] != 503


def test_a_fault_and_a_tls_listener_have_addresses_of_their_own(standin: Standin) -> None:
    authority = trustme.CA()
    leaf = authority.issue_cert("localhost")
    fault = standin.fault("blackhole")
    tls = standin.tls(leaf.cert_chain_pems[0].bytes(), leaf.private_key_pem.bytes())
    assert len({standin.port, fault["port"], tls["port"]}) == 3


def test_triggers_of_a_test_differ_by_arguments_and_answer_json(triggers: Triggers, notify: Notify) -> None:
    trigger = triggers.create()
    assert isinstance(trigger.notify({}).json, dict)
    assert isinstance(notify(b"").json, dict)
    assert notify(b"", query={"view": "status"}).json["results"] == {}
