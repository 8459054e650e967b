"""With an outbox nothing that was accepted is lost: the process is killed at each step, and the file cannot be used."""

import json
import resource
import sqlite3
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from tests.channels.mailserver import Book, Order, ca_file, shared
from tests.faults.scene import MARK, NUMBER
from tests.harness import Answer, ProcessEngine, Standin, Trigger, Triggers, eventually, free_port

KEY = "outbox-" + MARK + "-0123456789"
PATIENT = {
    "response_timeout": "1s",
    "initial_backoff": "50ms",
    "max_backoff": "100ms",
    "max_attempts": "100",
    "attempt_timeout": "5s",
}
"""Arguments of a trigger whose deliveries outlast a restart."""

DESTINATIONS = """
[settings]
outbox = "outbox.db"
outbox_key = {{ env = "OUTBOX_KEY" }}
twilio_base_url = "{url}"

[receivers.hook.http]
http_webhook_url = "{url}/hook/{mark}"

[receivers.chat.discord]
discord_webhook_url = "{url}/api/webhooks/100000000000000001/{mark}{rest}"

[receivers.phone.sms]
twilio_sid = "{account}"
twilio_token = "{token}"
twilio_from_number = "+15017122661"
twilio_to_number = "{number}"
"""
ACCOUNT = "AC" + "7" * 32
HOOK = f"/hook/{MARK}"
CHAT = "/api/webhooks/100000000000000001"
MESSAGES = f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json"
CONFIG = {"config_file_path": "notifier.toml", **PATIENT}


class Site:
    """A plugin directory with an outbox in it, and engines that use it one after the other, or at once."""

    def __init__(self, directory: Path, standin: Standin, stack: ExitStack) -> None:
        self.directory = directory
        self.standin = standin
        self._stack = stack
        (directory / "plugins").mkdir()
        self.outbox = directory / "plugins" / "outbox.db"
        self.configure(
            DESTINATIONS.format(
                url=standin.url, mark=MARK, rest="a" * 58, account=ACCOUNT, token=MARK + "0" * 22, number=NUMBER
            )
        )

    def configure(self, text: str) -> None:
        """Write the configuration file."""
        (self.directory / "plugins" / "notifier.toml").write_text(text)

    def start(
        self,
        arguments: Mapping[str, str] | None = None,
        *,
        environment: Mapping[str, str] | None = None,
        privileged: bool = True,
    ) -> tuple[ProcessEngine, Trigger]:
        """A new process with one trigger."""
        engine = self._stack.enter_context(
            ProcessEngine(self.directory, environment={"OUTBOX_KEY": KEY, **(environment or {})}, privileged=privileged)
        )
        return engine, Triggers(engine, self._stack).create({**CONFIG, **(arguments or {})})

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """What the file holds."""
        with closing(sqlite3.connect(self.outbox)) as db, db:
            return db.execute(sql).fetchall()

    def lapse(self) -> None:
        """As if half a minute had passed since the owner was last heard of."""
        self.rows("UPDATE requests SET lease = 0")

    def states(self) -> list[str]:
        """Of all deliveries, in order."""
        return [state for (state,) in self.rows("SELECT state FROM deliveries ORDER BY request, place")]

    def killed_and_started_again(
        self, engine: ProcessEngine, arguments: Mapping[str, str] | None = None, **environment: str
    ) -> Trigger:
        """Kill the process; start another, which finds that nobody owns what is there."""
        engine.kill()
        self.lapse()
        _, trigger = self.start(arguments, environment=environment)
        return trigger


@pytest.fixture
def site(tmp_path: Path, standin: Standin) -> Iterator[Site]:
    """A plugin directory with an outbox."""
    with ExitStack() as stack:
        yield Site(tmp_path, standin, stack)


def to(receiver: str, text: str = "hi", **more: object) -> dict[str, object]:
    """A request to one receiver of the file."""
    return {"notification_text": text, "receivers": [receiver], **more}


def wake(trigger: Trigger) -> None:
    """Call the trigger, so that it takes over what is there; the call itself sends nothing."""
    assert trigger.notify({"notification_text": "x", "senders_config": {}}).status == 200


def arrived(standin: Standin, path: str, count: int) -> list[dict[str, Any]]:
    """Requests at a path, as soon as there are so many."""
    return list(
        eventually(lambda: found if len(found := standin.requests(path)) >= count else [], f"{count} at {path}")
    )


def one_key(requests: list[dict[str, Any]]) -> str:
    """The idempotency key that all of them carry."""
    keys = {dict(map(tuple, request["headers"]))["idempotency-key"] for request in requests}
    assert len(keys) == 1
    return str(keys.pop())


# Row 41


def test_row_41_killed_after_acceptance_before_an_attempt_has_worked(site: Site) -> None:
    refused = site.standin.fault("refuse")
    site.configure(f'[settings]\noutbox = "outbox.db"\n[receivers.hook.http]\nhttp_webhook_url = "{refused["url"]}x"\n')
    engine, trigger = site.start()
    answer = trigger.notify(to("hook", idempotency_key="k1"))
    assert answer.json["results"] == {"hook": "pending"}
    site.configure(
        f'[settings]\noutbox = "outbox.db"\n[receivers.hook.http]\nhttp_webhook_url = "{site.standin.url}{HOOK}"\n'
    )
    again = site.killed_and_started_again(engine)
    wake(again)
    [request] = site.standin.wait_for(HOOK)
    assert json.loads(request["body"]) == {"message": "hi"}
    line = again.wait_for_log("delivered in")
    assert answer.json["task_id"] in line
    assert answer.json["task_id"] in again.wait_for_log("taken over from the outbox: 1 delivery")


def test_row_41_killed_while_an_attempt_is_under_way(site: Site) -> None:
    site.standin.rule(HOOK, hang=True, times=1)
    engine, trigger = site.start()
    assert trigger.notify(to("hook", "hi")).json["results"] == {"hook": "pending"}
    arrived(site.standin, HOOK, 1)
    again = site.killed_and_started_again(engine)
    wake(again)
    again.wait_for_log("delivered in")
    requests = site.standin.requests(HOOK)
    assert len(requests) == 2
    one_key(requests)
    eventually(lambda: not site.states(), "the outbox is empty")


def test_row_41_killed_between_the_parts_of_a_long_text(site: Site) -> None:
    """What has arrived is not sent again."""
    text = "".join(f"line {n} of a long text\n" for n in range(250))
    site.standin.rule(CHAT + "*", times=1)
    site.standin.rule(CHAT + "*", hang=True, times=1)
    engine, trigger = site.start()
    answer = trigger.notify(to("chat", text))
    entry = answer.json["deliveries"][0]
    assert entry["parts"] == 3
    eventually(lambda: site.rows("SELECT 1 FROM deliveries WHERE report ->> 'parts_delivered' = 1"), "part 1 is noted")
    arrived(site.standin, CHAT, 2)
    again = site.killed_and_started_again(engine)
    wake(again)
    again.wait_for_log("delivered in")
    contents = [json.loads(request["body"])["content"] for request in site.standin.requests(CHAT)]
    assert len(contents) == 4
    assert contents[1] == contents[2]
    assert len(set(contents)) == 3


def test_row_41_parts_of_a_message_that_is_another_now_are_all_sent_and_the_log_says_so(site: Site) -> None:
    text = "word " * 900
    site.standin.rule(CHAT + "*", times=1)
    site.standin.rule(CHAT + "*", hang=True, times=1)
    engine, trigger = site.start()
    parts = trigger.notify(to("chat", text)).json["deliveries"][0]["parts"]
    eventually(lambda: site.rows("SELECT 1 FROM deliveries WHERE report ->> 'parts_delivered' = 1"), "part 1 is noted")
    arrived(site.standin, CHAT, 2)
    engine.kill()
    config = site.directory / "plugins" / "notifier.toml"
    text = config.read_text().replace("[receivers.chat.discord]", '[receivers.chat.discord]\ntemplate = "loud"')
    config.write_text(text + '[templates.loud]\ntext = "LOUD {{ notification.text }}"\n')
    site.lapse()
    _, again = site.start()
    wake(again)
    assert "another message" in again.wait_for_log("composed anew after a restart")
    again.wait_for_log("delivered in")
    bodies = [json.loads(request["body"])["content"] for request in site.standin.requests(CHAT)]
    assert len(bodies) == 2 + parts
    assert ["LOUD" in body for body in bodies[:3]] == [False, False, True]


@pytest.mark.parametrize("taken", [True, False])
def test_row_41_killed_while_an_sms_is_under_way_it_is_looked_up(site: Site, taken: bool) -> None:
    site.standin.rule(MESSAGES, method="POST", take=taken, hang=True, times=1)
    engine, trigger = site.start()
    assert trigger.notify(to("phone")).json["results"] == {"phone": "pending"}
    eventually(lambda: site.rows("SELECT 1 FROM deliveries WHERE attempting IS NOT NULL"), "the attempt is noted")
    arrived(site.standin, MESSAGES, 1)
    engine.kill()
    site.lapse()
    # Its process has been gone for a while.
    site.rows("UPDATE deliveries SET attempting = attempting - 60000, deadline = deadline - 86400000")
    _, again = site.start({"delivery_timeout": "3s"})
    wake(again)
    again.wait_for_log("delivered in" if taken else "ambiguous after", timeout=60)
    posted = [request for request in site.standin.requests(MESSAGES) if request["method"] == "POST"]
    assert len(posted) == 1
    assert len(site.standin.messages()) == (1 if taken else 0)
    if not taken:
        eventually(lambda: site.states() == ["dead"], "a dead letter")


def test_row_41_killed_after_a_delivery_before_its_end_is_noted_it_is_sent_again_under_its_key(site: Site) -> None:
    site.standin.rule(HOOK, delay_ms=300, times=1)
    engine, trigger = site.start({"response_timeout": "0s"})
    trigger.notify(to("hook"))
    arrived(site.standin, HOOK, 1)
    with closing(sqlite3.connect(site.outbox, isolation_level=None)) as locked:
        locked.execute("BEGIN IMMEDIATE")
        trigger.wait_for_log("delivered in")
        engine.kill()
        locked.execute("ROLLBACK")
    site.lapse()
    _, again = site.start()
    wake(again)
    again.wait_for_log("delivered in")
    requests = site.standin.requests(HOOK)
    assert len(requests) == 2
    one_key(requests)


def test_row_41_killed_after_an_sms_before_its_end_is_noted_it_is_not_sent_again(site: Site) -> None:
    site.standin.rule(MESSAGES, method="POST", delay_ms=300, times=1, take=True)
    engine, trigger = site.start({"response_timeout": "0s"})
    trigger.notify(to("phone"))
    arrived(site.standin, MESSAGES, 1)
    with closing(sqlite3.connect(site.outbox, isolation_level=None)) as locked:
        locked.execute("BEGIN IMMEDIATE")
        trigger.wait_for_log("delivered in")
        engine.kill()
        locked.execute("ROLLBACK")
    site.lapse()
    site.rows("UPDATE deliveries SET attempting = attempting - 60000")
    _, again = site.start()
    wake(again)
    again.wait_for_log("delivered in")
    assert len(site.standin.messages()) == 1
    assert [request["method"] for request in site.standin.requests(MESSAGES)] == ["POST", "GET"]


def test_row_41_a_destination_of_the_requests_own_is_sealed_and_delivered_after_the_restart(site: Site) -> None:
    site.standin.rule("/hook/own", hang=True, times=1)
    engine, trigger = site.start()
    own = {"http": {"http_webhook_url": f"{site.standin.url}/hook/own?token={MARK}"}}
    assert trigger.notify({"notification_text": "hi", "senders_config": own}).json["results"] == {"http": "pending"}
    arrived(site.standin, "/hook/own", 1)
    again = site.killed_and_started_again(engine)
    wake(again)
    again.wait_for_log("delivered in")
    one_key(arrived(site.standin, "/hook/own", 2))


@pytest.fixture
def book() -> Iterator[Book]:
    """What the shared mail server knows, which is nothing yet."""
    shared().book.clear()
    yield shared().book
    shared().book.clear()


def mails_to(*recipients: str) -> dict[str, object]:
    """A request that brings its mail server along."""
    server = {"email_host": "localhost", "email_port": shared().port, "email_from": "alerts@example.com"}
    return {"notification_text": "hi", "senders_config": {"email": {**server, "email_to": list(recipients)}}}


def test_row_41_each_recipient_of_a_list_gets_the_mail_of_before_after_the_restart(site: Site, book: Book) -> None:
    recipients = ["a@example.com", "b@example.com", "c@example.com"]
    trusted = {"SSL_CERT_FILE": ca_file()}
    book.orders += [Order("MESSAGE", "451 4.3.0 later", recipient) for recipient in recipients[1:]]
    engine, trigger = site.start(environment=trusted)
    answer = trigger.notify(mails_to(*recipients))
    assert [entry["outcome"] for entry in answer.json["deliveries"]] == ["delivered", "pending", "pending"]
    engine.kill()
    # Killed between two attempts, not in the midst of one: of that nobody would know what became.
    site.rows("UPDATE deliveries SET attempting = NULL")
    book.orders.clear()
    site.lapse()
    _, again = site.start(environment=trusted)
    wake(again)
    eventually(lambda: site.states() == ["ended"] * 3, "all have ended")
    for recipient, least in zip(recipients, (1, 2, 2), strict=True):
        mails = book.to(recipient)
        assert len(mails) >= least
        assert len({mail.message["Message-ID"] for mail in mails}) == 1, "a mail keeps its name"
        assert {mail.message["To"] for mail in mails} == {recipient}
    assert len({mail.message["Message-ID"] for mail in book.mails}) == 3


def test_row_41_killed_while_a_mail_is_under_way_it_is_not_sent_again(site: Site, book: Book) -> None:
    trusted = {"SSL_CERT_FILE": ca_file()}
    book.orders.append(Order("MESSAGE", "250 2.0.0 Ok", after=5))
    engine, trigger = site.start(environment=trusted)
    assert trigger.notify(mails_to("a@example.com")).json["results"] == {"email": "pending"}
    eventually(lambda: book.mails, "the mail is there")
    again = site.killed_and_started_again(engine, None, **trusted)
    wake(again)
    again.wait_for_log("ambiguous after")
    eventually(lambda: site.states() == ["dead"], "a dead letter")
    assert len(book.mails) == 1


def test_row_41_a_key_is_known_after_the_restart(site: Site) -> None:
    engine, trigger = site.start()
    first = trigger.notify(to("hook", idempotency_key="k1")).json
    assert first["results"] == {"hook": True}
    eventually(lambda: site.states() == ["ended"], "its end is noted")
    again = site.killed_and_started_again(engine)
    repeat = again.notify(to("hook", idempotency_key="k1")).json
    assert (repeat["task_id"], repeat["replayed"], repeat["results"]) == (first["task_id"], True, {"hook": True})
    assert again.notify(to("hook", "ho", idempotency_key="k1")).status == 400
    assert len(site.standin.requests(HOOK)) == 1


def test_row_41_a_repeat_under_a_key_joins_what_was_taken_over(site: Site) -> None:
    site.standin.rule(HOOK, reply={"status": 503}, times=1)
    site.standin.rule(HOOK, delay_ms=200)
    slow = {"initial_backoff": "1h", "max_backoff": "1h"}
    engine, trigger = site.start(slow)
    first = trigger.notify(to("hook", idempotency_key="k1")).json
    assert first["results"] == {"hook": "pending"}
    again = site.killed_and_started_again(engine, slow)
    repeat = again.notify(to("hook", idempotency_key="k1")).json
    assert (repeat["task_id"], repeat["replayed"]) == (first["task_id"], True)
    assert repeat["results"] == {"hook": True}


def test_what_ran_out_of_time_while_nobody_was_there_is_a_dead_letter(site: Site) -> None:
    site.standin.rule(HOOK, reply={"status": 503})
    engine, trigger = site.start()
    trigger.notify(to("hook"))
    engine.kill()
    site.lapse()
    site.rows("UPDATE deliveries SET deadline = 0")
    before = len(site.standin.requests(HOOK))
    _, again = site.start()
    wake(again)
    again.wait_for_log("failed, expired")
    eventually(lambda: site.states() == ["dead"], "a dead letter")
    assert len(site.standin.requests(HOOK)) == before


def test_a_receiver_that_is_there_no_more_makes_a_dead_letter(site: Site) -> None:
    site.standin.rule(HOOK, reply={"status": 503})
    engine, trigger = site.start()
    trigger.notify(to("hook"))
    config = site.directory / "plugins" / "notifier.toml"
    config.write_text(config.read_text().replace("receivers.hook.", "receivers.other."))
    again = site.killed_and_started_again(engine)
    wake(again)
    assert "has left the configuration file" in again.wait_for_log("failed, unknown_receiver")
    eventually(lambda: site.states() == ["dead"], "a dead letter")


@pytest.mark.parametrize("key", ["", "another-key-of-some-length"])
def test_what_another_key_has_sealed_is_a_dead_letter_that_stays_sealed(site: Site, key: str) -> None:
    site.standin.rule("/hook/own", reply={"status": 503})
    engine, trigger = site.start()
    own = {"http": {"http_webhook_url": f"{site.standin.url}/hook/own"}}
    trigger.notify({"notification_text": "hi", "senders_config": own})
    if not key:
        config = site.directory / "plugins" / "notifier.toml"
        config.write_text(config.read_text().replace('outbox_key = { env = "OUTBOX_KEY" }\n', ""))
    again = site.killed_and_started_again(engine, OUTBOX_KEY=key)
    wake(again)
    again.wait_for_log("failed, sealed")
    eventually(lambda: site.states() == ["dead"], "a dead letter")
    assert site.rows("SELECT 1 FROM deliveries WHERE sealed IS NOT NULL")


# Several processes


def test_another_process_takes_over_when_the_lease_has_run_out_and_not_before(site: Site) -> None:
    site.standin.rule(HOOK, hang=True, times=1)
    first, trigger = site.start()
    trigger.notify(to("hook"))
    arrived(site.standin, HOOK, 1)
    _, other = site.start()
    first.kill()
    wake(other)
    assert len(site.standin.requests(HOOK)) == 1
    site.lapse()
    # It looks every ten seconds.
    other.wait_for_log("delivered in", timeout=15)
    one_key(arrived(site.standin, HOOK, 2))


def test_a_scheduled_call_takes_over_at_once_with_no_request(site: Site) -> None:
    site.standin.rule(HOOK, hang=True, times=1)
    first, trigger = site.start()
    task = trigger.notify(to("hook")).json["task_id"]
    arrived(site.standin, HOOK, 1)
    first.kill()
    site.lapse()
    second, _ = site.start()
    schedule = {"config_file_path": "notifier.toml"}
    second.create_trigger("s", spec="every:3600s", arguments=schedule)
    second.run_schedule("s")
    one_key(arrived(site.standin, HOOK, 2))

    def lines() -> list[str]:
        return [row["log_text"] for row in second.logs("s") if row["log_text"].startswith(f"notifier [{task}]")]

    eventually(lambda: any("delivered in" in line for line in lines()), "the end is in the scheduled trigger's log")
    assert any("taken over from the outbox: 1 delivery" in line for line in lines())
    # The second call finds nothing, and says nothing.
    second.run_schedule("s")
    assert site.states() == []


def test_a_scheduled_call_without_an_outbox_says_what_it_lacks(site: Site) -> None:
    engine, _ = site.start()
    engine.create_trigger("s", spec="every:3600s", arguments={"config_file_path": ""})
    engine.run_schedule("s")
    [line] = [row["log_text"] for row in engine.logs("s") if row["log_text"].startswith("notifier")]
    assert "This scheduled trigger has no outbox to look after." in line


def test_a_process_that_slept_past_its_lease_leaves_what_another_has_taken_over(site: Site) -> None:
    site.standin.rule(HOOK, reply={"status": 503}, times=1)
    _, trigger = site.start({"initial_backoff": "3s", "max_backoff": "3s"})
    trigger.notify(to("hook"))
    # The other process, as the file shows it.
    site.rows("UPDATE requests SET owner = 'another', lease = 9000000000000")
    trigger.wait_for_log("left to the process that has taken it over")
    assert len(site.standin.requests(HOOK)) == 1
    assert site.states() == ["claimed"]


def test_requests_of_several_processes_on_one_file_all_arrive_once(site: Site) -> None:
    processes = [site.start({"response_timeout": "4s"})[1] for _ in range(3)]
    for n in range(30):
        answer = processes[n % 3].notify(to("hook", f"message {n}"))
        assert answer.json["results"] == {"hook": True}, answer.text
    texts = [json.loads(request["body"])["message"] for request in site.standin.requests(HOOK)]
    assert sorted(texts) == sorted(f"message {n}" for n in range(30))
    eventually(lambda: not site.states(), "the outbox is empty")


# Row 42, and what else can be wrong with the file


def unusable(answer: Answer, what: str) -> None:
    """Nothing was sent, and the answer says why and what to do."""
    assert answer.status == 503, answer.text
    assert answer.json["results"] == {}
    error = answer.json["error"]
    assert error["code"] == "outbox"
    assert what in answer.json["message"], answer.json["message"]
    assert answer.json["message"].endswith("Nothing was sent.")
    assert len(error["hint"]) > 20


def _make_text(path: Path) -> None:
    path.write_text("this is no database, but a text that is long enough to be taken for one " * 20)


def _make_another(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE songs (title TEXT)")


def _make_newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(f"PRAGMA application_id = {0x494E464E}")
        db.execute("PRAGMA user_version = 99")
        db.execute("CREATE TABLE requests (id INTEGER)")


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (_make_text, "is no outbox"),
        (_make_another, "is no outbox"),
        (_make_newer, "was made by a newer version"),
        (Path.mkdir, "is no outbox"),
    ],
    ids=["text", "another database", "newer", "directory"],
)
def test_row_42_a_file_that_is_none_of_ours_is_not_touched(
    site: Site, make: Callable[[Path], object], what: str
) -> None:
    make(site.outbox)
    before = site.outbox.read_bytes() if site.outbox.is_file() else b""
    _, trigger = site.start()
    unusable(trigger.notify(to("hook")), what)
    assert site.standin.requests(HOOK) == []
    assert before == (site.outbox.read_bytes() if site.outbox.is_file() else b"")


def test_row_42_a_directory_that_is_not_there(site: Site) -> None:
    config = site.directory / "plugins" / "notifier.toml"
    config.write_text(config.read_text().replace('"outbox.db"', '"nowhere/outbox.db"'))
    _, trigger = site.start()
    unusable(trigger.notify(to("hook")), "its directory is not there")
    assert site.standin.requests(HOOK) == []
    # As soon as it is there, all is well.
    (site.directory / "plugins" / "nowhere").mkdir()
    assert trigger.notify(to("hook")).json["results"] == {"hook": True}


@pytest.mark.parametrize("what", ["file", "directory"])
def test_row_42_a_file_that_may_not_be_written(site: Site, what: str) -> None:
    if what == "file":
        engine, trigger = site.start()
        wake(trigger)
        engine.kill()
        place = site.outbox
    else:
        place = site.outbox.parent / "closed"
        place.mkdir()
        config = site.directory / "plugins" / "notifier.toml"
        config.write_text(config.read_text().replace('"outbox.db"', '"closed/outbox.db"'))
    mode = place.stat().st_mode
    place.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        _, again = site.start(privileged=False)
        unusable(again.notify(to("hook")), "may not be opened")
        assert site.standin.requests(HOOK) == []
    finally:
        place.chmod(mode)


def test_row_42_a_file_that_was_damaged(site: Site) -> None:
    engine, trigger = site.start()
    for n in range(20):
        trigger.notify(to("hook", "x" * 1000, idempotency_key=str(n)))
    engine.stop()
    site.rows("PRAGMA wal_checkpoint(TRUNCATE)")
    before = len(site.standin.requests(HOOK))
    with site.outbox.open("r+b") as file:
        size = site.outbox.stat().st_size
        file.seek(4096)
        file.write(b"\xa5" * (size - 4096))
    _, again = site.start()
    unusable(again.notify(to("hook", idempotency_key="new")), "is damaged")
    assert len(site.standin.requests(HOOK)) == before


def test_row_42_a_full_disk(site: Site) -> None:
    """The file may not grow beyond what SQLite is told; it says the same as for a disk."""
    engine, trigger = site.start()
    wake(trigger)
    resource.prlimit(engine.pid, resource.RLIMIT_FSIZE, (50_000, 50_000))
    answers = [trigger.notify(to("hook", "x" * 100_000)) for _ in range(3)]
    assert {answer.status for answer in answers} == {503}, [answer.text for answer in answers]
    assert all(answer.json["error"]["code"] == "outbox" for answer in answers)
    assert site.standin.requests(HOOK) == []


def test_row_42_another_program_that_keeps_the_file_locked(site: Site) -> None:
    _, trigger = site.start()
    wake(trigger)
    with closing(sqlite3.connect(site.outbox, isolation_level=None)) as locked:
        locked.execute("BEGIN IMMEDIATE")
        answer = trigger.notify(to("hook"))
        unusable(answer, "is locked by another program")
        assert answer.elapsed < 2.2
        locked.execute("ROLLBACK")
    assert trigger.notify(to("hook", "after")).json["results"] == {"hook": True}
    assert [json.loads(request["body"])["message"] for request in site.standin.requests(HOOK)] == ["after"]
    eventually(lambda: not site.states(), "nothing of the first is left")


def test_a_file_that_was_moved_away_is_made_anew_and_what_is_in_flight_goes_on(site: Site) -> None:
    site.standin.rule(HOOK, reply={"status": 503}, times=1)
    _, trigger = site.start({"initial_backoff": "500ms", "max_backoff": "500ms", "response_timeout": "0s"})
    trigger.notify(to("hook", "first"))
    arrived(site.standin, HOOK, 1)
    for name in site.outbox.parent.glob("outbox.db*"):
        name.rename(name.with_name("moved-" + name.name))
    trigger.notify(to("hook", "second"))
    eventually(lambda: len(site.standin.messages()) == 2, "both have arrived")
    assert site.outbox.exists()


# What may be kept, and how


def test_a_request_with_a_destination_of_its_own_is_refused_without_a_key_to_seal_it(site: Site) -> None:
    config = site.directory / "plugins" / "notifier.toml"
    config.write_text(config.read_text().replace('outbox_key = { env = "OUTBOX_KEY" }\n', ""))
    _, trigger = site.start()
    own = {"http": {"http_webhook_url": f"{site.standin.url}/hook/own"}}
    answer = trigger.notify({"notification_text": "hi", "senders_config": own, "receivers": ["hook"]})
    assert answer.status == 503
    assert answer.json["error"]["code"] == "outbox_key_missing"
    assert "outbox_key" in answer.json["error"]["hint"]
    assert "receivers" in answer.json["error"]["hint"]
    assert site.standin.requests() == []
    assert trigger.notify(to("hook")).json["results"] == {"hook": True}


@pytest.mark.parametrize(
    ("key", "what"),
    [
        ('"0123456789abcdef"', 'must be { env = "NAME" } or { file = "PATH" }'),
        ('{ env = "SHORT_KEY" }', "the key is shorter than 16 bytes"),
        ('{ env = "NO_SUCH_KEY" }', "the environment variable NO_SUCH_KEY is not set"),
    ],
)
def test_a_key_that_cannot_be_used_is_named_with_its_place(site: Site, key: str, what: str) -> None:
    config = site.directory / "plugins" / "notifier.toml"
    config.write_text(config.read_text().replace('{ env = "OUTBOX_KEY" }', key))
    _, trigger = site.start(environment={"SHORT_KEY": "short"})
    answer = trigger.notify(to("hook"))
    assert answer.status == 503
    assert what in answer.json["message"]
    assert "settings.outbox_key" in answer.json["message"]


def test_row_33_nothing_in_the_file_is_a_secret(site: Site) -> None:
    site.standin.rule("*", reply={"status": 500, "body": f"token {MARK} of {NUMBER}"})
    _, trigger = site.start()
    own = {
        "http": {"http_webhook_url": f"{site.standin.url}/hook/own-{MARK}", "http_headers": MARK},
        "email": {
            "email_host": "127.0.0.1",
            "email_port": free_port(),
            "email_from": "alerts@example.com",
            "email_to": [f"{MARK}@example.com"],
            "email_username": MARK,
            "email_password": MARK,
        },
    }
    trigger.notify({"notification_text": "hi", "senders_config": own, "receivers": ["hook", "chat", "phone"]})
    eventually(lambda: "dead" in site.states() or len(site.states()) == 5, "all are kept")
    kept = b"".join(path.read_bytes() for path in site.outbox.parent.glob("outbox.db*"))
    assert b"hi" in kept
    for secret in (MARK, NUMBER, KEY):
        assert secret.encode() not in kept, secret


def test_the_file_is_its_owners_alone(site: Site) -> None:
    _, trigger = site.start()
    trigger.notify(to("hook"))
    for path in site.outbox.parent.glob("outbox.db*"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_what_waits_is_counted(site: Site) -> None:
    site.standin.rule(HOOK, reply={"status": 503})
    _, trigger = site.start({"response_timeout": "0s"})
    for n in range(3):
        trigger.notify(to("hook", f"m{n}"))
    metrics = trigger.notify(b"", query={"view": "metrics"}, method="GET").text
    assert "\nnotifier_outbox_depth 3\n" in metrics


def test_a_dry_run_and_a_request_that_names_nobody_are_not_kept(site: Site) -> None:
    _, trigger = site.start()
    wake(trigger)
    assert trigger.notify(to("hook", dry_run=True)).json["results"] == {"hook": "dry_run"}
    assert site.states() == []


def test_deliveries_have_a_day_unless_the_trigger_says_otherwise(site: Site) -> None:
    site.standin.rule(HOOK, reply={"status": 503})
    _, trigger = site.start()
    trigger.notify(to("hook"))
    assert site.rows("SELECT timeout FROM deliveries") == [(86_400_000,)]
    _, other = site.start({"delivery_timeout": "2min"})
    other.notify(to("hook"))
    assert site.rows("SELECT timeout FROM deliveries ORDER BY request DESC LIMIT 1") == [(120_000,)]
