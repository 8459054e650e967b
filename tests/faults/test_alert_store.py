"""Alert state in a file that cannot be written: an event is refused whole, and counts after the file is mended."""

import stat
from pathlib import Path

from tests.faults.site import HOOK, Site
from tests.faults.test_alerts import ROUTE, event, result, route, statuses, wait_until_idle
from tests.harness import Response, Trigger, eventually


def start_with_an_alert(site: Site) -> None:
    """The alert "a" fires, and its destination knows; the process ends."""
    route(site, ROUTE)
    engine, trigger = site.start()
    assert result(trigger, event("firing")) == "delivered"
    wait_until_idle(site)
    engine.stop()
    site.rows("PRAGMA wal_checkpoint(TRUNCATE)")


def refused(response: Response) -> None:
    assert (response.status, response.json["error"]["code"]) == (503, "outbox"), response.text
    assert response.json["results"] == {}


def refused_events(site: Site, trigger: Trigger) -> None:
    """The end of the known alert and the beginning of another are refused, and nothing is sent."""
    for body in (event("resolved"), event("firing", "b")):
        refused(trigger.notify(body))
    assert statuses(site) == ["firing"]


def works_again(site: Site, trigger: Trigger) -> None:
    """The same events are accepted: nothing of the refused ones is known, and nothing is forgotten."""
    events = [event("firing"), event("resolved"), event("firing", "b"), event("firing", "b")]
    assert [result(trigger, body) for body in events] == ["unchanged", "delivered", "delivered", "unchanged"]
    assert statuses(site) == ["firing", "resolved", "firing"]


def test_a_read_only_file_refuses_events_until_it_can_be_written(site: Site) -> None:
    start_with_an_alert(site)
    mode = site.outbox.stat().st_mode
    site.outbox.chmod(stat.S_IRUSR)
    try:
        _, trigger = site.start(privileged=False)
        refused_events(site, trigger)
    finally:
        site.outbox.chmod(mode)
    works_again(site, trigger)


def test_a_damaged_file_refuses_events_until_it_is_restored(site: Site) -> None:
    start_with_an_alert(site)
    whole = site.outbox.read_bytes()
    site.outbox.write_bytes(whole[:4096] + b"\xa5" * (len(whole) - 4096))
    engine, trigger = site.start()
    refused_events(site, trigger)
    engine.stop()
    for end in ("-wal", "-shm"):
        Path(f"{site.outbox}{end}").unlink(missing_ok=True)
    site.outbox.write_bytes(whole)
    _, trigger = site.start()
    works_again(site, trigger)


def start_on_a_full_disk(site: Site, small_disk: Path) -> tuple[Trigger, Path]:
    """The alert "a" fires, and its destination knows; then a file, which is returned, fills the disk."""
    site.outbox = small_disk / "outbox.db"
    site.change('"outbox.db"', f'"{site.outbox}"')
    route(site, ROUTE)
    _, trigger = site.start()
    assert result(trigger, event("firing")) == "delivered"
    wait_until_idle(site)
    filler = small_disk / "filler"
    fill(filler)
    return trigger, filler


def test_a_full_disk_refuses_events_until_there_is_room(site: Site, small_disk: Path) -> None:
    trigger, filler = start_on_a_full_disk(site, small_disk)
    # The log of SQLite may have room for a few.
    taken = 0
    while (
        response := trigger.notify(event("firing", f"n{taken}") | {"notification_text": "x" * 20_000})
    ).status == 200:
        taken += 1
        assert taken < 100
    refused(response)
    before = len(site.standin.requests(HOOK))
    assert before == 1 + taken
    filler.unlink()
    eventually(lambda: trigger.notify(event("firing")).status == 200, "events are accepted again", timeout=15)
    assert len(site.standin.requests(HOOK)) == before
    events = [event("firing", "after"), event("firing", "after"), event("resolved")]
    assert [result(trigger, body) for body in events] == ["delivered", "unchanged", "delivered"]
    assert len(site.standin.requests(HOOK)) == before + 2


def fill(path: Path) -> None:
    """Write a file until the disk is full."""
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 4096)
        except OSError:
            return


def test_an_alert_refused_for_lack_of_room_is_sent_when_there_is_room(site: Site, small_disk: Path) -> None:
    trigger, filler = start_on_a_full_disk(site, small_disk)
    taken = 0
    while trigger.notify(event("firing", f"n{taken}") | {"notification_text": "x" * 20_000}).status == 200:
        taken += 1
    filler.unlink()
    eventually(lambda: trigger.notify(event("firing")).status == 200, "events are accepted again", timeout=15)
    # Its alert may have been stored before its notification was refused.
    trigger.notify(event("firing", f"n{taken}"))
    eventually(lambda: len(statuses(site)) == taken + 2, "the refused alert is sent", timeout=20)
