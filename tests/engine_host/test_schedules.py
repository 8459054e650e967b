"""The engine host runs scheduled triggers as InfluxDB 3 does."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from tests.engine_host.durations import format_duration, parse_duration
from tests.engine_host.schedule import Cron, Every, Schedule
from tests.engine_host.text_plugins import BLOCK, TextPluginHost
from tests.harness import eventually

STARTING = "starting execution with scheduled time "
NEVER_HERE = "every:1y"
"""A schedule that no test meets."""


def scheduled_times(host: TextPluginHost, trigger: str = "t") -> list[datetime]:
    """The texts of the engine's log rows, in the order of the calls."""
    written = [text.removeprefix(STARTING) for text in host.texts(trigger) if text.startswith(STARTING)]
    return [datetime.fromisoformat(text.removesuffix(" UTC")).replace(tzinfo=UTC) for text in written]


# The call


@pytest.fixture
def in_india(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Local time that is not UTC."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Asia/Kolkata")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("in_india")
@pytest.mark.parametrize("spec", [NEVER_HERE, "cron:0 0 0 1 1 *"])
def test_the_time_of_a_call_is_naive_and_local_without_fractions_of_a_second(host: TextPluginHost, spec: str) -> None:
    host.plugin("import engine_host_meeting as meeting; meeting.notes.append(call_time)", spec=spec)
    before = datetime.now(UTC).replace(microsecond=0)
    host.engine.run_schedule("t")
    [call_time] = host.notes
    assert isinstance(call_time, datetime)
    assert call_time.tzinfo is None
    assert call_time == scheduled_times(host)[0].replace(tzinfo=None) + timedelta(hours=5, minutes=30)
    assert before <= scheduled_times(host)[0] <= datetime.now(UTC)


@pytest.mark.parametrize(("given", "seen"), [(None, None), ({}, None), ({"a": "1,2"}, {"a": "1,2"})])
def test_args_of_a_scheduled_call_are_none_when_there_are_none(
    host: TextPluginHost, given: dict[str, str] | None, seen: object
) -> None:
    host.plugin("import engine_host_meeting as meeting; meeting.notes.append(args)", spec=NEVER_HERE, arguments=given)
    host.engine.run_schedule("t")
    assert host.notes == [seen]


def test_the_engines_rows_stand_around_a_scheduled_call(host: TextPluginHost) -> None:
    host.plugin("influxdb3_local.info('hello')", spec=NEVER_HERE)
    host.engine.run_schedule("t")
    starting, hello, finished = host.texts()
    assert starting == f"{STARTING}{scheduled_times(host)[0]:%Y-%m-%d %H:%M:%S} UTC"
    assert hello == "hello"
    assert finished.startswith("finished execution in ")


def test_a_plugin_without_the_function_is_an_error_in_the_log(host: TextPluginHost) -> None:
    host.plugin("pass", spec=NEVER_HERE)
    (host.engine.plugin_dir / "t.py").write_text("")
    host.engine.run_schedule("t")
    assert host.errors()[0] == (
        "error executing schedule plugin: the process_scheduled_call function is not present in the plugin. "
        "Should be defined as: process_scheduled_call(influxdb3_local, call_time, args=None)"
    )


def test_a_deleted_plugin_file_still_runs(host: TextPluginHost) -> None:
    host.plugin("influxdb3_local.info('hello')", spec=NEVER_HERE)
    (host.engine.plugin_dir / "t.py").unlink()
    host.engine.run_schedule("t")
    assert "hello" in host.texts()


# When it happens


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("10s", 10),
        ("5m", 300),
        ("1h", 3600),
        ("1d", 86400),
        ("1w", 604800),
        ("1M", 2630016),
        ("1y", 31557600),
        ("250ms", 0.25),
        ("1500us", 0.0015),
        ("1h 30m", 5400),
        ("1hour12min5s", 4325),
        ("2days 3 sec", 172803),
        (" 1s ", 1),
    ],
)
def test_durations_are_sums_of_whole_numbers_with_units(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds * 1e9


@pytest.mark.parametrize("text", ["", "10", "s", "-1s", "1H", "1.5s", "1_000s", "1e3s", "10s,5s"])
def test_an_invalid_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0s"),
        (1_234, "1us 234ns"),
        (31_449_193, "31ms 449us 193ns"),
        (3_723_004_005_006, "1h 2m 3s 4ms 5us 6ns"),
        (90_000 * 10**9, "1day 1h"),
        (2 * 31_557_600 * 10**9, "2years"),
        (2 * 2_630_016 * 10**9, "2months"),
    ],
)
def test_durations_are_written_as_the_engine_writes_them(nanoseconds: int, text: str) -> None:
    assert format_duration(nanoseconds) == text


def moments(schedule: Schedule, now: datetime, count: int = 3) -> list[str]:
    found: list[str] = []
    moment = schedule.first(now)
    while moment is not None and len(found) < count:
        found.append(f"{moment:%Y-%m-%d %H:%M:%S}")
        moment = schedule.following(moment)
    return found


WEDNESDAY = datetime(2026, 11, 25, 10, 0, 0, 500_000, tzinfo=UTC)


# The results of the Rust crate cron.
@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("*/10 * * * * *", ["2026-11-25 10:00:10", "2026-11-25 10:00:20", "2026-11-25 10:00:30"]),
        ("0,30 * * * * *", ["2026-11-25 10:00:30", "2026-11-25 10:01:00", "2026-11-25 10:01:30"]),
        ("0/15 * * * * *", ["2026-11-25 10:00:15", "2026-11-25 10:00:30", "2026-11-25 10:00:45"]),
        ("0 0 9 * * Mon-Fri", ["2026-11-26 09:00:00", "2026-11-27 09:00:00", "2026-11-30 09:00:00"]),
        ("0 0 9 * * Monday", ["2026-11-30 09:00:00", "2026-12-07 09:00:00", "2026-12-14 09:00:00"]),
        ("0 0 0 * * 1", ["2026-11-29 00:00:00", "2026-12-06 00:00:00", "2026-12-13 00:00:00"]),
        ("0 0 0 * * 7", ["2026-11-28 00:00:00", "2026-12-05 00:00:00", "2026-12-12 00:00:00"]),
        ("0 0 0 * * 2-6", ["2026-11-26 00:00:00", "2026-11-27 00:00:00", "2026-11-30 00:00:00"]),
        ("0 0 0 * * */2", ["2026-11-26 00:00:00", "2026-11-28 00:00:00", "2026-11-29 00:00:00"]),
        ("0 0 0 13 * 6", ["2027-08-13 00:00:00", "2028-10-13 00:00:00", "2029-04-13 00:00:00"]),
        ("0 0 12 * Nov-Dec *", ["2026-11-25 12:00:00", "2026-11-26 12:00:00", "2026-11-27 12:00:00"]),
        ("0 0 0 * january ?", ["2027-01-01 00:00:00", "2027-01-02 00:00:00", "2027-01-03 00:00:00"]),
        ("0 0 0 * * 1 2027", ["2027-01-03 00:00:00", "2027-01-10 00:00:00", "2027-01-17 00:00:00"]),
        ("  0  0 0 1 1 *  ", ["2027-01-01 00:00:00", "2028-01-01 00:00:00", "2029-01-01 00:00:00"]),
        ("0 0 0 1 1 * 2020", []),
        ("0 0 0 30 2 *", []),
    ],
)
def test_cron_starts_with_seconds_counts_from_sunday_and_requires_both_days(expression: str, found: list[str]) -> None:
    assert moments(Cron(expression), WEDNESDAY) == found


@pytest.mark.parametrize(
    "spec",
    [
        "cron:",
        "cron:* * * * *",
        "cron:0 0 0 L * *",
        "cron:0 0 0 * * 0",
        "cron:0 0 0 * * 6-2",
        "cron:0 0 0 * * Sat-Sun",
        "cron:0 0 0 * * sun#2",
        "cron:0 0 0 * * someday",
        "cron:60 * * * * *",
        "cron:*/0 * * * * *",
        "every:",
        "every:10",
        "every:0s",
        "every:999us",
        "every:1y 1ns",
        "hourly",
        "table:",
        "request:",
        "",
    ],
)
def test_an_invalid_specification_is_refused_and_creates_no_trigger(host: TextPluginHost, spec: str) -> None:
    with pytest.raises(ValueError, match=r"cron|every|duration|specification"):
        host.plugin("pass", spec=spec or " ")
    host.plugin("pass", spec=NEVER_HERE)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1h", ["2026-11-25 11:00:00", "2026-11-25 12:00:00", "2026-11-25 13:00:00"]),
        ("7s", ["2026-11-25 10:00:07", "2026-11-25 10:00:14", "2026-11-25 10:00:21"]),
        ("1d", ["2026-11-26 00:00:00", "2026-11-27 00:00:00", "2026-11-28 00:00:00"]),
        ("1w", ["2026-11-26 00:00:00", "2026-12-03 00:00:00", "2026-12-10 00:00:00"]),
    ],
)
def test_an_interval_is_counted_from_1970_whenever_the_trigger_was_made(text: str, found: list[str]) -> None:
    assert moments(Every(text), WEDNESDAY) == found
    assert int(datetime.fromisoformat(found[0] + "+00:00").timestamp()) % (parse_duration(text) // 10**9) == 0


def test_cron_triggers_run_by_themselves(host: TextPluginHost) -> None:
    host.plugin("import engine_host_meeting as meeting; meeting.entered.release()", spec="cron:* * * * * *")
    assert host.entered.acquire(timeout=5)
    assert scheduled_times(host)[0].microsecond == 0


def test_a_cron_trigger_without_a_future_time_is_created_and_never_runs(host: TextPluginHost) -> None:
    host.plugin("pass", spec="cron:0 0 0 1 1 * 2020")
    eventually(lambda: host.engine._workers["t"].task.done())
    assert host.texts() == []


# One after the other, or all at once


def test_a_synchronous_trigger_runs_missed_times_one_after_the_other(host: TextPluginHost) -> None:
    host.plugin(BLOCK, spec="every:20ms", asynchronous=False)
    assert host.entered.acquire(timeout=5)
    due = scheduled_times(host)[0] + timedelta(milliseconds=100)
    eventually(lambda: datetime.now(UTC) > due)
    assert len(scheduled_times(host)) == 1
    host.gate.set()
    eventually(lambda: len(scheduled_times(host)) > 6)
    times = scheduled_times(host)
    assert {later - earlier for earlier, later in pairwise(times)} == {timedelta(milliseconds=20)}
    assert times[0].timestamp() * 1000 % 20 == pytest.approx(0, abs=0.01)


def test_an_asynchronous_trigger_runs_on_time_beside_a_call_that_takes_longer_than_the_interval(
    host: TextPluginHost,
) -> None:
    host.plugin(BLOCK, spec="every:20ms")
    for _ in range(4):
        assert host.entered.acquire(timeout=5)
    assert not any(text.startswith("finished") for text in host.texts())
    host.gate.set()


@pytest.mark.parametrize(("asynchronous", "together"), [(True, 3), (False, 1)])
def test_calls_asked_for_run_one_after_the_other_unless_the_trigger_is_asynchronous(
    host: TextPluginHost, asynchronous: bool, together: int
) -> None:
    host.plugin(BLOCK, spec=NEVER_HERE, asynchronous=asynchronous)
    with ThreadPoolExecutor(3) as pool:
        calls = [pool.submit(host.engine.run_schedule, "t") for _ in range(3)]
        for _ in range(together):
            assert host.entered.acquire(timeout=5)
        assert not host.entered.acquire(timeout=0.1)
        assert not any(call.done() for call in calls)
        host.gate.set()
        for call in calls:
            call.result(5)


@pytest.mark.parametrize("asynchronous", [True, False])
def test_disabling_a_scheduled_trigger_does_not_wait_for_its_running_call(
    host: TextPluginHost, asynchronous: bool
) -> None:
    host.plugin(
        f"{BLOCK}influxdb3_local.write(LineBuilder('m').int64_field('n', 1)); influxdb3_local.info('went on')",
        spec="every:20ms",
        asynchronous=asynchronous,
    )
    assert host.entered.acquire(timeout=5)
    host.engine.disable("t")
    begun = len(scheduled_times(host))
    host.gate.set()
    eventually(lambda: host.texts().count("went on") == begun)
    # Its collected lines are lost with its result.
    eventually(lambda: sum(text.startswith("finished") for text in host.texts()) == begun)
    host.engine.flush()
    assert host.engine.database.lines == []
    assert len(scheduled_times(host)) == begun


# After an exception


@pytest.mark.parametrize(("asynchronous", "kind"), [(False, "scheduled plugin"), (True, "async scheduled plugin")])
@pytest.mark.parametrize(
    ("raised", "error"),
    [
        ("ValueError('boom')", "ValueError: boom"),
        ("type('PanicException', (BaseException,), {})('index')", "PanicException: index"),
    ],
)
def test_an_exception_is_logged_twice_and_the_trigger_goes_on(
    host: TextPluginHost, asynchronous: bool, kind: str, raised: str, error: str
) -> None:
    host.plugin(f"raise {raised}", spec=NEVER_HERE, asynchronous=asynchronous)
    for _ in range(2):
        host.engine.run_schedule("t")
    assert host.errors() == [f"error executing schedule plugin: {error}", f"error running {kind}: {error}"] * 2
    assert not any(text.startswith("finished") for text in host.texts())


def test_a_retrying_schedule_runs_the_file_again_for_the_same_time_until_it_succeeds(host: TextPluginHost) -> None:
    raises = "import engine_host_meeting as meeting; meeting.entered.release()\nraise ValueError"
    host.plugin(raises, spec=NEVER_HERE, error_behavior="retry")
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(host.engine.run_schedule, "t")
        for _ in range(3):
            assert host.entered.acquire(timeout=5)
        host.write_plugin("pass", "t", NEVER_HERE)
        call.result(5)
    assert len(set(scheduled_times(host))) == 1
    assert len(scheduled_times(host)) > 3
    assert host.errors() == []


@pytest.mark.parametrize("asynchronous", [True, False])
def test_a_schedule_that_retries_is_stopped_by_disabling_it(host: TextPluginHost, asynchronous: bool) -> None:
    raises = "import engine_host_meeting as meeting; meeting.entered.release()\nraise ValueError"
    host.plugin(raises, spec="every:20ms", error_behavior="retry", asynchronous=asynchronous)
    assert host.entered.acquire(timeout=5)
    host.engine.disable("t")
    # A call that was under way then may still end.
    eventually(lambda: not host.entered.acquire(timeout=0.1))


def test_a_call_asked_for_that_retries_is_stopped_by_disabling_its_trigger(host: TextPluginHost) -> None:
    raises = "import engine_host_meeting as meeting; meeting.entered.release()\nraise ValueError"
    host.plugin(raises, spec=NEVER_HERE, error_behavior="retry")
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(host.engine.run_schedule, "t")
        assert host.entered.acquire(timeout=5)
        host.engine.disable("t")
        call.result(5)


def test_an_exception_disables_a_trigger_with_error_behavior_disable_without_a_log_line(host: TextPluginHost) -> None:
    host.plugin(
        """
        influxdb3_local.info(influxdb3_local.cache.get("key"))
        influxdb3_local.cache.put("key", "kept")
        raise ValueError
        """,
        spec=NEVER_HERE,
        error_behavior="disable",
    )
    host.engine.run_schedule("t")
    eventually(lambda: "t" not in host.engine._workers)
    with pytest.raises(ValueError, match="no enabled scheduled trigger"):
        host.engine.run_schedule("t")
    assert len(scheduled_times(host)) == 1
    assert host.errors() == []
    host.engine.enable("t")
    host.engine.run_schedule("t")
    # Its cache went with it.
    assert host.texts().count("None") == 2


def test_only_a_scheduled_trigger_can_be_run_at_once(host: TextPluginHost) -> None:
    host.plugin("return {}")
    for name in ("t", "absent"):
        with pytest.raises(ValueError, match=f"no enabled scheduled trigger '{name}'"):
            host.engine.run_schedule(name)
