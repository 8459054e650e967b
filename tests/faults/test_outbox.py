"""With an outbox nothing that was accepted is lost: the process is killed at each step, or others take over."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.channels.mailserver import SmtpRule, SmtpState, ca_file, shared_server
from tests.faults.isolation import MARK
from tests.faults.site import CHAT, HOOK, MESSAGES, Site, arrived, one_key, to, wake
from tests.harness import eventually


def test_killed_after_acceptance_before_a_successful_attempt(site: Site) -> None:
    refused = site.standin.fault("refuse")
    site.configure(f'[settings]\noutbox = "outbox.db"\n[receivers.hook.http]\nhttp_webhook_url = "{refused["url"]}x"\n')
    engine, trigger = site.start()
    response = trigger.notify(to("hook", idempotency_key="k1"))
    assert response.json["results"] == {"hook": "pending"}
    site.configure(
        f'[settings]\noutbox = "outbox.db"\n[receivers.hook.http]\nhttp_webhook_url = "{site.standin.url}{HOOK}"\n'
    )
    again = site.killed_and_started_again(engine)
    wake(again)
    [request] = site.standin.wait_for(HOOK)
    assert json.loads(request["body"]) == {"message": "hi"}
    line = again.wait_for_log("delivered in")
    assert response.json["task_id"] in line
    assert response.json["task_id"] in again.wait_for_log("taken over from the outbox: 1 delivery")


def test_killed_during_an_attempt(site: Site) -> None:
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


def test_killed_between_the_parts_of_a_long_text(site: Site) -> None:
    """A delivered message is not sent again."""
    text = "".join(f"line {n} of a long text\n" for n in range(250))
    site.standin.rule(CHAT + "*", times=1)
    site.standin.rule(CHAT + "*", hang=True, times=1)
    engine, trigger = site.start()
    response = trigger.notify(to("chat", text))
    entry = response.json["deliveries"][0]
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


def test_all_parts_of_a_message_that_changed_are_sent_with_a_log_line(site: Site) -> None:
    text = "word " * 900
    site.standin.rule(CHAT + "*", times=1)
    site.standin.rule(CHAT + "*", hang=True, times=1)
    engine, trigger = site.start()
    parts = trigger.notify(to("chat", text)).json["deliveries"][0]["parts"]
    eventually(lambda: site.rows("SELECT 1 FROM deliveries WHERE report ->> 'parts_delivered' = 1"), "part 1 is noted")
    arrived(site.standin, CHAT, 2)
    engine.kill()
    site.change("[receivers.chat.discord]", '[receivers.chat.discord]\ntemplate = "loud"')
    site.configure(site.config.read_text() + '[templates.loud]\ntext = "LOUD {{ notification.text }}"\n')
    _, again = site.start()
    wake(again)
    assert "another message" in again.wait_for_log("composed anew after a restart")
    again.wait_for_log("delivered in")
    bodies = [json.loads(request["body"])["content"] for request in site.standin.requests(CHAT)]
    assert len(bodies) == 2 + parts
    assert ["LOUD" in body for body in bodies[:3]] == [False, False, True]


@pytest.mark.parametrize("taken", [True, False])
def test_after_a_kill_during_an_sms_the_sms_is_looked_up(site: Site, taken: bool) -> None:
    site.standin.rule(MESSAGES, method="POST", accept_first=taken, hang=True, times=1)
    engine, trigger = site.start()
    assert trigger.notify(to("phone")).json["results"] == {"phone": "pending"}
    eventually(lambda: site.rows("SELECT 1 FROM deliveries WHERE attempt_began IS NOT NULL"), "the attempt is noted")
    arrived(site.standin, MESSAGES, 1)
    engine.kill()
    # Its process ended some time ago.
    site.rows("UPDATE deliveries SET attempt_began = attempt_began - 60000, deadline = deadline - 86400000")
    _, again = site.start({"delivery_timeout": "3s"})
    wake(again)
    again.wait_for_log("delivered in" if taken else "ambiguous after", timeout=60)
    posted = [request for request in site.standin.requests(MESSAGES) if request["method"] == "POST"]
    assert len(posted) == 1
    assert len(site.standin.messages()) == (1 if taken else 0)
    if not taken:
        eventually(lambda: site.states() == ["dead"], "a dead letter")


def killed_before_the_end_is_noted(site: Site, receiver: str, path: str) -> None:
    """Deliver while another has the file, so that the end cannot be written, and kill the process then."""
    engine, trigger = site.start({"response_timeout": "0s"})
    trigger.notify(to(receiver))
    arrived(site.standin, path, 1)
    with closing(sqlite3.connect(site.outbox, isolation_level=None)) as locked:
        locked.execute("BEGIN IMMEDIATE")
        trigger.wait_for_log("delivered in")
        engine.kill()
        locked.execute("ROLLBACK")


def test_killed_between_a_delivery_and_its_record_it_is_sent_again_with_its_key(site: Site) -> None:
    site.standin.rule(HOOK, delay_ms=300, times=1)
    killed_before_the_end_is_noted(site, "hook", HOOK)
    _, again = site.start()
    wake(again)
    again.wait_for_log("delivered in")
    requests = site.standin.requests(HOOK)
    assert len(requests) == 2
    one_key(requests)


def test_killed_between_an_sms_and_its_record_it_is_not_sent_again(site: Site) -> None:
    site.standin.rule(MESSAGES, method="POST", delay_ms=300, times=1, accept_first=True)
    killed_before_the_end_is_noted(site, "phone", MESSAGES)
    site.rows("UPDATE deliveries SET attempt_began = attempt_began - 60000")
    _, again = site.start()
    wake(again)
    again.wait_for_log("delivered in")
    assert len(site.standin.messages()) == 1
    assert [request["method"] for request in site.standin.requests(MESSAGES)] == ["POST", "GET"]


def test_a_destination_from_the_request_is_encrypted_and_delivered_after_the_restart(site: Site) -> None:
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
def smtp_state() -> Iterator[SmtpState]:
    """The cleared state of the shared mail server."""
    shared_server().smtp_state.clear()
    yield shared_server().smtp_state
    shared_server().smtp_state.clear()


def mails_to(*recipients: str) -> dict[str, object]:
    """A request that brings its mail server along."""
    server = {"email_host": "localhost", "email_port": shared_server().port, "email_from": "alerts@example.com"}
    return {"notification_text": "hi", "senders_config": {"email": {**server, "email_to": list(recipients)}}}


def test_each_recipient_of_a_list_gets_the_same_mail_after_a_restart(site: Site, smtp_state: SmtpState) -> None:
    recipients = ["a@example.com", "b@example.com", "c@example.com"]
    trusted = {"SSL_CERT_FILE": ca_file()}
    smtp_state.rules += [SmtpRule("MESSAGE", "451 4.3.0 later", recipient) for recipient in recipients[1:]]
    engine, trigger = site.start(environment=trusted)
    response = trigger.notify(mails_to(*recipients))
    assert [entry["outcome"] for entry in response.json["deliveries"]] == ["delivered", "pending", "pending"]
    engine.kill()
    # Killed between two attempts. During an attempt the result would be unknown.
    site.rows("UPDATE deliveries SET attempt_began = NULL")
    smtp_state.rules.clear()
    _, again = site.start(environment=trusted)
    wake(again)
    eventually(lambda: site.states() == ["ended"] * 3, "all have ended")
    for recipient, least in zip(recipients, (1, 2, 2), strict=True):
        mails = smtp_state.mails_to(recipient)
        assert len(mails) >= least
        assert len({mail.message["Message-ID"] for mail in mails}) == 1, "a mail keeps its name"
        assert {mail.message["To"] for mail in mails} == {recipient}
    assert len({mail.message["Message-ID"] for mail in smtp_state.mails}) == 3


def test_after_a_restart_only_recipients_without_the_mail_get_copies(site: Site, smtp_state: SmtpState) -> None:
    """The outbox stores the recipient of each mail, and the recipients in its headers."""
    smtp_state.rules += [SmtpRule("RCPT", "450 4.2.0 greylisted", f"{name}@example.com") for name in ("cc", "bcc")]
    mail = {
        "email_host": "localhost",
        "email_port": shared_server().port,
        "email_from": "alerts@example.com",
        "email_to": "Doe, Jane <a@example.com>, b@example.com",
        "email_cc": ["cc@example.com"],
        "email_bcc": "bcc@example.com",
    }
    trust = {"SSL_CERT_FILE": ca_file()}
    engine, trigger = site.start(environment=trust)
    response = trigger.notify({"notification_text": "hi", "senders_config": {"email": mail}})
    assert [entry["outcome"] for entry in response.json["deliveries"]] == ["delivered"] * 2 + ["pending"] * 2
    engine.kill()
    # Between two attempts.
    site.rows("UPDATE deliveries SET attempt_began = NULL")
    smtp_state.rules.clear()
    _, again = site.start(environment=trust)
    wake(again)
    eventually(lambda: site.states() == ["ended"] * 4, "all have ended")
    assert sorted(mail.recipient.split("@")[0] for mail in smtp_state.mails) == ["a", "b", "bcc", "cc"]
    assert {(str(mail.message["To"]), str(mail.message["Cc"]), mail.message["Bcc"]) for mail in smtp_state.mails} == {
        ('"Doe, Jane" <a@example.com>, b@example.com', "cc@example.com", None)
    }
    assert len({mail.message["Message-ID"] for mail in smtp_state.mails}) == 1
    assert smtp_state.problems == []


def test_a_mail_in_flight_at_a_kill_is_not_sent_again(site: Site, smtp_state: SmtpState) -> None:
    trusted = {"SSL_CERT_FILE": ca_file()}
    smtp_state.rules.append(SmtpRule("MESSAGE", "250 2.0.0 Ok", after=5))
    engine, trigger = site.start(environment=trusted)
    assert trigger.notify(mails_to("a@example.com")).json["results"] == {"email": "pending"}
    eventually(lambda: smtp_state.mails, "the mail is there")
    again = site.killed_and_started_again(engine, None, **trusted)
    wake(again)
    again.wait_for_log("ambiguous after")
    eventually(lambda: site.states() == ["dead"], "a dead letter")
    assert len(smtp_state.mails) == 1


def test_a_key_is_known_after_the_restart(site: Site) -> None:
    engine, trigger = site.start()
    first = trigger.notify(to("hook", idempotency_key="k1")).json
    assert first["results"] == {"hook": True}
    eventually(lambda: site.states() == ["ended"], "its end is noted")
    again = site.killed_and_started_again(engine)
    repeat = again.notify(to("hook", idempotency_key="k1")).json
    assert (repeat["task_id"], repeat["replayed"], repeat["results"]) == (first["task_id"], True, {"hook": True})
    assert again.notify(to("hook", "ho", idempotency_key="k1")).status == 400
    assert len(site.standin.requests(HOOK)) == 1


def test_a_repeat_under_a_key_joins_a_recovered_request(site: Site) -> None:
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


def test_a_delivery_that_expired_while_no_process_ran_is_a_dead_letter(site: Site) -> None:
    site.standin.rule(HOOK, reply={"status": 503})
    engine, trigger = site.start()
    trigger.notify(to("hook"))
    engine.kill()
    site.rows("UPDATE deliveries SET deadline = 0")
    before = len(site.standin.requests(HOOK))
    _, again = site.start()
    wake(again)
    again.wait_for_log("failed, expired")
    eventually(lambda: site.states() == ["dead"], "a dead letter")
    assert len(site.standin.requests(HOOK)) == before


def test_a_removed_receiver_makes_a_dead_letter(site: Site) -> None:
    site.standin.rule(HOOK, reply={"status": 503})
    engine, trigger = site.start()
    trigger.notify(to("hook"))
    site.change("receivers.hook.", "receivers.other.")
    again = site.killed_and_started_again(engine)
    wake(again)
    assert "has left the configuration file" in again.wait_for_log("failed, unknown_receiver")
    eventually(lambda: site.states() == ["dead"], "a dead letter")


@pytest.mark.parametrize("key", ["", "another-key-of-some-length"])
def test_a_destination_encrypted_with_another_key_is_a_dead_letter_and_stays_encrypted(site: Site, key: str) -> None:
    site.standin.rule("/hook/own", reply={"status": 503})
    engine, trigger = site.start()
    own = {"http": {"http_webhook_url": f"{site.standin.url}/hook/own"}}
    trigger.notify({"notification_text": "hi", "senders_config": own})
    if not key:
        site.change('outbox_key = { env = "OUTBOX_KEY" }\n', "")
    again = site.killed_and_started_again(engine, OUTBOX_KEY=key)
    wake(again)
    again.wait_for_log("failed, sealed")
    eventually(lambda: site.states() == ["dead"], "a dead letter")
    assert site.rows("SELECT 1 FROM deliveries WHERE sealed_config IS NOT NULL")


# Several processes


def test_another_process_recovers_only_after_the_first_has_ended(site: Site) -> None:
    site.standin.rule(HOOK, hang=True, times=1)
    first, trigger = site.start()
    trigger.notify(to("hook"))
    arrived(site.standin, HOOK, 1)
    _, other = site.start()
    wake(other)
    assert len(site.standin.requests(HOOK)) == 1
    first.kill()
    # It looks every second.
    other.wait_for_log("delivered in", timeout=5)
    one_key(arrived(site.standin, HOOK, 2))


def test_a_scheduled_call_recovers_at_once_without_a_request(site: Site) -> None:
    site.standin.rule(HOOK, hang=True, times=1)
    first, trigger = site.start()
    task = trigger.notify(to("hook")).json["task_id"]
    arrived(site.standin, HOOK, 1)
    first.kill()
    second, _ = site.start()
    schedule = {"config_file_path": "notifier.toml"}
    second.create_trigger("s", spec="every:3600s", arguments=schedule)
    second.run_schedule("s")
    one_key(arrived(site.standin, HOOK, 2))

    def lines() -> list[str]:
        return [row["log_text"] for row in second.logs("s") if row["log_text"].startswith(f"notifier [{task}]")]

    eventually(lambda: any("delivered in" in line for line in lines()), "the end is in the scheduled trigger's log")
    assert any("taken over from the outbox: 1 delivery" in line for line in lines())
    # The second call finds no delivery, and logs nothing.
    second.run_schedule("s")
    assert site.states() == []


def test_a_scheduled_call_without_an_outbox_gets_a_warning(site: Site) -> None:
    engine, _ = site.start()
    engine.create_trigger("s", spec="every:3600s", arguments={"config_file_path": ""})
    engine.run_schedule("s")
    [line] = [row["log_text"] for row in engine.logs("s") if row["log_text"].startswith("notifier")]
    assert "This scheduled trigger has no outbox to maintain." in line


def test_a_process_suspended_past_its_lease_leaves_recovered_deliveries(site: Site) -> None:
    site.standin.rule(HOOK, reply={"status": 503}, times=1)
    _, trigger = site.start({"initial_backoff": "3s", "max_backoff": "3s"})
    trigger.notify(to("hook"))
    # The other process, as the file shows it.
    site.rows("UPDATE requests SET owner = 'another'")
    trigger.wait_for_log("left to the process that took it over")
    assert len(site.standin.requests(HOOK)) == 1
    assert site.states() == ["claimed"]


def test_requests_of_several_processes_on_one_file_all_arrive_once(site: Site) -> None:
    processes = [site.start({"response_timeout": "4s"})[1] for _ in range(3)]
    for n in range(30):
        response = processes[n % 3].notify(to("hook", f"message {n}"))
        assert response.json["results"] == {"hook": True}, response.text
    texts = [json.loads(request["body"])["message"] for request in site.standin.requests(HOOK)]
    assert sorted(texts) == sorted(f"message {n}" for n in range(30))
    eventually(lambda: not site.states(), "the outbox is empty")
