"""Alert state after a kill: with only the scheduled call, each destination gets each alert once."""

import json
from typing import Any

from tests.faults.site import CHAT, HOOK, Site, arrived
from tests.faults.test_alerts import event, wait_until_idle
from tests.harness import ProcessEngine, Trigger, eventually

GROUP = """
[[routes]]
receivers = ["hook", "chat"]
group_by = ["fields.region"]
group_wait = "1s"
group_interval = "1s"
"""
TWO = "[2 firing] region=eu"


def start_group(site: Site) -> tuple[ProcessEngine, Trigger]:
    site.configure(site.config.read_text() + GROUP)
    return site.start()


def fire(trigger: Trigger, *keys: str) -> None:
    for key in keys:
        entries = trigger.notify(event("firing", key)).json["deliveries"]
        assert [entry["reason"] for entry in entries] == ["grouped"] * 2


def only_scheduled(site: Site) -> tuple[ProcessEngine, Trigger]:
    """A new process, which gets no event: only a scheduled call."""
    engine, trigger = site.start()
    engine.create_trigger("schedule", spec="every:3600s", arguments={"config_file_path": "notifier.toml"})
    engine.run_schedule("schedule")
    return engine, trigger


def answered(site: Site, path: str) -> list[dict[str, Any]]:
    return [request for request in site.standin.requests(path) if request["status"] in (200, 204)]


def titles(site: Site) -> list[str]:
    return [json.loads(request["body"])["title"] for request in answered(site, HOOK)]


def statuses(site: Site) -> list[str]:
    return [json.loads(request["body"])["status"] for request in answered(site, HOOK)]


def each_knows_both_alerts(site: Site, engine: ProcessEngine, trigger: Trigger) -> None:
    """Each destination got one notification of both alerts, and gets one when they end."""
    eventually(lambda: answered(site, HOOK) and answered(site, CHAT), "each destination is notified")
    wait_until_idle(site)
    for _ in range(2):
        engine.run_schedule("schedule")
    for key in "ab":
        entries = trigger.notify(event("firing", key)).json["deliveries"]
        assert [entry["rule"] for entry in entries] == ["unchanged"] * 2
    assert (titles(site), len(answered(site, CHAT))) == ([TWO], 1)
    for key in "ab":
        trigger.notify(event("resolved", key))
    eventually(lambda: site.rows("SELECT count(*) FROM alert_state WHERE kind = 'group'") == [(0,)], "the group ends")
    assert statuses(site)[0] == "firing"
    assert statuses(site)[-1] == "resolved"
    assert len(titles(site)) == len(answered(site, CHAT))


def test_a_kill_before_the_flush_loses_no_alert(site: Site) -> None:
    engine, trigger = start_group(site)
    fire(trigger, "a", "b")
    engine.kill()
    assert site.standin.requests(HOOK) == []
    each_knows_both_alerts(site, *only_scheduled(site))


def test_a_kill_after_the_flush_repeats_no_notification(site: Site) -> None:
    for path in (HOOK, CHAT):
        site.standin.rule(path, reply={"status": 503})
    engine, trigger = start_group(site)
    fire(trigger, "a", "b")
    for path in (HOOK, CHAT):
        arrived(site.standin, path, 1)
    engine.kill()
    site.standin.clear_rules()
    each_knows_both_alerts(site, *only_scheduled(site))


def test_a_kill_after_the_end_of_a_notification_repeats_none(site: Site) -> None:
    engine, trigger = start_group(site)
    fire(trigger, "a", "b")
    eventually(lambda: answered(site, HOOK) and answered(site, CHAT), "each destination is notified")
    wait_until_idle(site)
    engine.kill()
    each_knows_both_alerts(site, *only_scheduled(site))


def test_a_kill_before_the_flush_of_a_change_loses_no_resolved(site: Site) -> None:
    engine, trigger = start_group(site)
    fire(trigger, "a")
    eventually(lambda: answered(site, HOOK) and answered(site, CHAT), "each destination is notified")
    wait_until_idle(site)
    entries = trigger.notify(event("resolved", "a")).json["deliveries"]
    assert [entry["reason"] for entry in entries] == ["grouped"] * 2
    engine.kill()
    only_scheduled(site)
    eventually(lambda: len(answered(site, HOOK)) == len(answered(site, CHAT)) == 2, "each destination is notified")
    assert statuses(site) == ["firing", "resolved"]
