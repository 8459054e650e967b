"""Responses are true during faults of NATS: a rejected notification is never sent."""

import shutil
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from nats.js.api import StreamConfig

from tests.faults.site import HOOK, arrived, to
from tests.faults.streams import PASSWORD, Streams
from tests.harness import Response, Standin, eventually
from tests.harness.cable import Cable
from tests.harness.nats import NatsServer, run

COUNT = 8


@pytest.fixture
def site(tmp_path: Path, standin: Standin, stack: ExitStack, server: NatsServer) -> Streams:
    """A plugin directory with an outbox on it."""
    return Streams(tmp_path, standin, stack, server)


def hooks(standin: Standin) -> Counter[str]:
    """How often each text has come to the webhook."""
    return Counter(body["message"] for body in standin.bodies(HOOK))


@pytest.mark.parametrize("keyed", [False, True], ids=["without keys", "with keys"])
def test_a_call_without_an_acknowledgement_from_nats_is_pending(
    site: Streams, standin: Standin, stack: ExitStack, keyed: bool
) -> None:
    cable = stack.enter_context(Cable(site.server.port))
    site.use(cable.url)
    _, trigger = site.start()
    assert trigger.notify(to("hook", "before")).json["results"] == {"hook": True}

    def ask(n: int) -> tuple[str, Response]:
        text = f"text {n}"
        more = {"idempotency_key": text} if keyed else {}
        return text, trigger.notify(to("hook", text, **more), timeout=20)

    with ThreadPoolExecutor(COUNT) as pool:
        # Publications or earlier requests arrive, but replies are held.
        cable.hold_replies()
        asked = [pool.submit(ask, n) for n in range(COUNT)]
        time.sleep(3)
        cable.heal()
        responses = [response.result() for response in asked]
    for _, response in responses:
        if response.status == 503:
            assert keyed, "a publication without an answer is no refusal"
            assert "Nothing was sent" in response.json["message"]
            continue
        assert response.json["results"] == {"hook": "pending"}, response.text
    expected = {text for text, response in responses if response.status == 200}
    eventually(lambda: expected <= set(hooks(standin)), "all are delivered", timeout=20)
    eventually(lambda: site.server.messages() == 0, "all have ended", timeout=20)
    assert hooks(standin) == Counter(["before", *expected])


def test_the_pending_answer_says_that_the_outbox_is_the_reason(
    site: Streams, standin: Standin, stack: ExitStack
) -> None:
    cable = stack.enter_context(Cable(site.server.port))
    site.use(cable.url)
    _, trigger = site.start({"response_timeout": "100ms"})
    assert trigger.notify(to("hook", "before")).status == 200
    arrived(standin, HOOK, 1)
    cable.hold_replies()
    response = trigger.notify(to("hook", "later"), timeout=20)
    assert response.elapsed < 3
    [delivery] = response.json["deliveries"]
    assert (response.status, delivery["outcome"], delivery["reason"]) == (200, "pending", "outbox")
    assert "did not store the notification in time" in delivery["detail"]
    cable.heal()
    trigger.wait_for_log("delivered in")
    eventually(lambda: hooks(standin) == Counter(["before", "later"]), "it is delivered once", timeout=20)


def delete_consumers(site: Streams) -> None:
    """Delete all consumers of the stream of requests."""

    async def delete() -> None:
        async with site.server.client() as client:
            js = client.jetstream()
            for info in await js.consumers_info("notifier_work"):
                await js.delete_consumer("notifier_work", info.name)

    run(delete())


def delete_streams(site: Streams) -> None:
    """Delete all streams and buckets."""

    async def delete() -> None:
        async with site.server.client() as client:
            js = client.jetstream()
            for info in await js.streams_info():
                assert info.config.name is not None
                await js.delete_stream(info.config.name)

    run(delete())


def replace_server(site: Streams) -> None:
    """Replace the server by an empty one."""
    site.server.kill()
    shutil.rmtree(site.server.directory / "store")
    site.server.start()


@pytest.mark.parametrize(
    ("lose", "delivered_by"), [(delete_consumers, "workers"), (delete_streams, "server"), (replace_server, "server")]
)
def test_deleted_streams_and_buckets_are_created_again(
    site: Streams, standin: Standin, lose: Callable[[Streams], None], delivered_by: str
) -> None:
    site.use(site.server.url, f'delivered_by = "{delivered_by}"')
    _, trigger = site.start()
    site.worker()
    assert trigger.notify(to("hook", "before")).status == 200
    arrived(standin, HOOK, 1)
    eventually(lambda: site.server.messages() == 0, "it has ended")
    lose(site)
    texts = [f"text {n}" for n in range(COUNT)]
    for text in texts:
        response = trigger.notify(to("hook", text), timeout=20)
        assert response.status == 200, response.text
    eventually(lambda: len(hooks(standin)) == COUNT + 1, "all are delivered", timeout=30)
    eventually(lambda: site.server.messages() == 0, "all have ended", timeout=30)
    assert hooks(standin) == Counter(["before", *texts])


@pytest.mark.parametrize("lose", [delete_consumers, delete_streams])
def test_deliveries_in_flight_survive_the_deletion_of_streams(
    site: Streams, standin: Standin, lose: Callable[[Streams], None]
) -> None:
    standin.rule(HOOK, reply={"status": 503}, times=COUNT)
    _, trigger = site.start({"response_timeout": "100ms", "initial_backoff": "3s", "max_backoff": "3s"})
    texts = [f"text {n}" for n in range(COUNT)]
    for text in texts:
        assert trigger.notify(to("hook", text)).json["results"] == {"hook": "pending"}
    arrived(standin, HOOK, COUNT)
    lose(site)
    arrived(standin, HOOK, 2 * COUNT)
    eventually(lambda: site.server.messages() == 0, "all have ended", timeout=30)
    assert hooks(standin) == Counter(dict.fromkeys(texts, 2))


def test_a_missing_permission_is_an_error_of_the_first_call(site: Streams, standin: Standin) -> None:
    denied = '{ publish: { deny: ["notifier.work.>"] } }'
    site.server.kill()
    site.server.configure(
        f'authorization {{ users: [{{ user: alerts, password: "{PASSWORD}", permissions: {denied} }}] }}\n'
    )
    site.server.start()
    site.use(site.server.url, 'nats_credentials = { env = "NATS_LOGIN" }')
    _, trigger = site.start(environment={"NATS_LOGIN": f"alerts:{PASSWORD}"})
    response = trigger.notify(to("hook"), timeout=10)
    assert (response.status, response.json["error"]["code"]) == (503, "outbox"), response.text
    assert "denies this user a permission" in response.json["message"]
    assert "$JS.ACK.>" in response.json["error"]["hint"]
    trigger.wait_for_log("denies this user a permission")
    assert not standin.requests(HOOK)


def limit(site: Streams, stream: str, max_bytes: int) -> None:
    """Set the maximum bytes of a stream; -1: unlimited."""

    async def update() -> None:
        async with site.server.client() as client:
            js = client.jetstream()
            config: StreamConfig = (await js.stream_info(stream)).config
            config.max_bytes = max_bytes
            await js.update_stream(config)

    run(update())


def max_age(site: Streams, stream: str) -> float:
    """After how many seconds a message of a stream is deleted."""

    async def find() -> float:
        async with site.server.client() as client:
            return float((await client.jetstream().stream_info(stream)).config.max_age or 0)

    return run(find())


def test_a_full_stream_is_reported(site: Streams, standin: Standin) -> None:
    _, trigger = site.start()
    assert trigger.notify(to("hook", "before")).status == 200
    eventually(lambda: site.server.messages() == 0, "it has ended")
    limit(site, "notifier_work", 1)
    response = trigger.notify(to("hook", idempotency_key="k"), timeout=10)
    assert response.status == 503
    assert "has no space left" in response.json["message"]
    assert "max_bytes" in response.json["error"]["hint"]
    assert hooks(standin) == Counter(["before"])


def test_calls_refused_by_a_full_stream_leave_nothing_in_the_streams(site: Streams, standin: Standin) -> None:
    _, trigger = site.start()
    assert trigger.notify(to("hook", "before")).status == 200
    eventually(lambda: site.server.messages() == 0, "it has ended")
    limit(site, "notifier_work", 1)

    def ask(n: int) -> int:
        return trigger.notify(to("hook", f"text {n}", idempotency_key=f"k{n}", dedup_key="d"), timeout=20).status

    with ThreadPoolExecutor(COUNT) as pool:
        assert Counter(pool.map(ask, range(300))) == Counter({503: 300})
    assert site.server.messages("KV_notifier_attempts") == 0
    assert site.server.messages("KV_notifier_idempotency_keys") == 0
    # The rest of other processes is deleted automatically.
    day = 24 * 3600
    assert [
        max_age(site, f"KV_notifier_{bucket}") for bucket in ("attempts", "idempotency_keys", "last_notifications")
    ] == [
        14 * day,
        2 * day,
        7 * day,
    ]
    limit(site, "notifier_work", -1)
    assert ask(0) == 200
    eventually(lambda: hooks(standin) == Counter(["before", "text 0"]), "it is delivered")


@pytest.mark.parametrize("stream", ["KV_notifier_attempts", "KV_notifier_last_notifications"])
def test_accepted_requests_end_although_a_bucket_is_full_or_once_it_has_room(
    site: Streams, standin: Standin, stream: str
) -> None:
    arguments = {"history_table": "notifications", "response_timeout": "100ms", "repeat_interval": "1h"}
    _, trigger = site.start(arguments)
    assert trigger.notify(to("hook", "before")).status == 200
    eventually(lambda: site.server.messages() == 0, "it has ended")
    limit(site, stream, 1)
    assert trigger.notify(to("hook", "keyed", dedup_key="d", status="firing")).status == 200
    assert trigger.notify({"notification_text": "both", "receivers": ["hook", "phone"]}).status == 200
    standin.rule(HOOK, reply={"status": 404}, times=1)
    assert trigger.notify(to("hook", "dead")).status == 200
    arrived(standin, HOOK, 4)
    time.sleep(1)
    texts = [message["text"] for message in standin.messages() if message["provider"] == "twilio"]
    # Before an SMS leaves, its attempt is noted.
    waits = stream == "KV_notifier_attempts"
    assert len(texts) == int(not waits)
    eventually(lambda: site.server.messages() == int(waits), "the others have ended")
    limit(site, stream, -1)
    eventually(lambda: site.server.messages() == 0, "all have ended", timeout=30)
    assert hooks(standin) == Counter(["before", "keyed", "both", "dead"])
    assert len([message for message in standin.messages() if message["provider"] == "twilio"]) == 1
    assert site.server.messages("notifier_dead_letters") == 1
