"""The benchmark rejects measurements with undelivered messages or error responses."""

import json
import os
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

import bench.__main__ as program
from bench import report
from bench.checks import RefusedError, check_answers, check_arrivals, check_same_bytes
from bench.measures.growth import exponent
from bench.messages import Notification, three_channels, webhooks
from bench.processes import Call
from bench.rows import LIMIT, NOOP, OURS, RECORDED, Row, all_rows, at_least, within
from bench.run import QUICK, Run, scale
from tests.harness import ROOT, Standin, http_request


class FakeContender:
    """A contender that sends ``count`` messages, and reports a given result."""

    def __init__(self, sends: int, claims: int, body: str | None = None, name: str = LIMIT) -> None:
        self.name = name
        self._sends, self._claims, self._body = sends, claims, body

    def send(self, notification: Notification, times: int = 1) -> list[Call]:
        for request in notification.wire[: self._sends] * times:
            body = request["body"] if self._body is None else self._body
            http_request("POST", request["url"], body=body.encode())
        return [Call(1, 1, self._claims, [])] * times


@pytest.mark.parametrize(
    ("contender", "sentence"),
    [
        (FakeContender(3, 3), None),
        (FakeContender(2, 3), "the row: limit sent 6 messages and the sink saw 4"),
        (FakeContender(3, 2), "the row: limit delivered 2 of 3 messages in 2 of 2 calls"),
        (FakeContender(3, 3, "{}"), "the row: limit sent bodies of 12 bytes in all, the same messages have 228"),
        (FakeContender(3, 3, "{}", "apprise"), None),
    ],
    ids=["honest", "a message is missing", "an answer is no success", "other bodies", "a peer has bodies of its own"],
)
def test_a_measurement_of_messages_that_did_not_all_arrive_is_refused(
    standin: Standin, contender: Any, sentence: str | None
) -> None:
    run = Run(QUICK, standin)
    with pytest.raises(RefusedError, match=sentence) if sentence else nullcontext():
        run.send("the row", contender, webhooks(standin.url, 0, 3), times=2)


@pytest.mark.parametrize(
    ("check", "sentence"),
    [
        (lambda: check_answers("P1", "ours", 3, [3, 3]), None),
        (lambda: check_answers("P1", "ours", 3, [3, 4]), "P1: ours delivered 4 of 3 messages in 1 of 2 calls"),
        (lambda: check_arrivals("P1", "ours", 3, 3), None),
        (lambda: check_arrivals("P1", "ours", 3, 4), "P1: ours sent 3 messages and the sink saw 4"),
        (lambda: check_same_bytes("P1", "ours", 3, 3), None),
        (lambda: check_same_bytes("P1", "ours", 3, 4), "the contenders did not do the same work"),
    ],
)
def test_a_measurement_with_too_many_messages_is_refused(check: Callable[[], None], sentence: str | None) -> None:
    with pytest.raises(RefusedError, match=sentence) if sentence else nullcontext():
        check()


class Stub:
    """A stand-in without behaviour."""

    url = "http://127.0.0.1:1"

    def __init__(self, _program: object) -> None: ...

    def __enter__(self) -> "Stub":
        return self

    def __exit__(self, *_: object) -> None: ...


@pytest.fixture
def main(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., int]:
    """The program with a single fake measurement."""

    def run_with(step: Callable[[Run], None], **environment: str) -> int:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(program, "MEASURES", {"P11": [step]})
        monkeypatch.setattr(program, "Standin", Stub)
        monkeypatch.setattr(program, "program", lambda name: name)
        monkeypatch.setattr(program, "raise_descriptor_limit", lambda: 1024)
        monkeypatch.setattr(program, "time_lines", lambda _run: {})
        monkeypatch.setattr(program, "ROOT", tmp_path)
        return program.main()

    return run_with


def test_a_refused_measurement_ends_the_run_with_an_error_and_no_table(
    main: Callable[..., int], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def step(run: Run) -> None:
        run.rows["P11"].add(OURS, 1.0)
        check_arrivals("P11", "apprise", 3, 2)

    assert main(step) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "refused: P11: apprise sent 3 messages and the sink saw 2: nothing of this run is reported" in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("counted", "recorded", "status"), [(104.9, 100.0, 0), (105.1, 100.0, 1), (200.0, None, 0)])
def test_more_than_five_percent_more_instructions_are_an_error(
    main: Callable[..., int], counted: float, recorded: float | None, status: int
) -> None:
    def step(run: Run) -> None:
        run.rows["P11"].add(OURS, counted)
        if recorded:
            run.rows["P11"].add(RECORDED, recorded)

    assert main(step, BENCH_QUICK="1") == status


def test_rows_and_rounds_that_do_not_exist_are_refused(
    main: Callable[..., int], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(lambda _run: None, BENCH_ONLY="P99") == 2
    assert "BENCH_ONLY: there is no P99" in capsys.readouterr().err
    monkeypatch.setenv("ROUNDS", "many")
    with pytest.raises(SystemExit, match="ROUNDS=many: must be a number of rounds"):
        scale()


def test_the_median_of_the_rounds_is_compared_with_the_target() -> None:
    rows = all_rows()
    for row, ours, peer, met in [
        ("P1 100 warm", [104, 104, 200], {LIMIT: [100, 100, 100]}, True),
        ("P1 100 warm", [106, 106, 100], {LIMIT: [100, 100, 100]}, False),
        ("P2", [144], {LIMIT: [100]}, True),
        ("P2", [146], {LIMIT: [100]}, False),
        ("P3 1", [70], {NOOP: [100]}, True),
        ("P3 1", [69], {NOOP: [100]}, False),
        ("P6 import", [31], {}, False),
        ("P11", [100], {}, None),
        ("P2 execute", [100], {}, None),
    ]:
        judged = Row(row, "", "", rows[row].target, rows[row].compare, rows[row].peer)
        for contender, figures in {OURS: ours, **peer}.items():
            judged.samples[contender] = list(map(float, figures))
        assert judged.is_met() is met, (row, ours)


def test_the_table_has_ours_and_its_peer_and_names_rows_that_did_not_run() -> None:
    missed = Row("P9", "counts", "M/s", at_least(0.95), all_rows()["P9"].compare, LIMIT)
    missed.samples = {OURS: [9.0, 8.0, 10.0], LIMIT: [10.0, 10.0, 10.0]}
    absent = Row("P11", "instructions", "k", within(1.05), not_run="valgrind is not installed")
    alone = Row("P6", "import", "ms", within(30), samples={OURS: [1.0, 2.0, 3.0], LIMIT: [5.0]})
    aimless = Row("P7", "peak", "MiB", samples={OURS: [61.0]})
    head, _, *lines = report.table([missed, absent, alone, aimless]).splitlines()
    assert [cell.strip() for cell in head.split("|")[3:-1]] == ["ours", "peer", "compared", "target", "met"]
    assert [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines] == [
        ["P9", "counts", "9 M/s", "10", "× limit: 0.9 (0.8-1)", "≥ 0.95", "NO"],
        ["P11", "instructions", "-", "-", "not run: valgrind is not installed", "≤ 1.05", "-"],
        ["P6", "import", "2 (1-3) ms", "5", "", "≤ 30", "yes"],
        ["P7", "peak", "61 MiB", "-", "", "", ""],
    ]
    # The page has the rows that have a target.
    shown = report.page_table([missed, absent, alone, aimless]).splitlines()[2:]
    assert [line.split("|")[1] for line in shown] == ["P9", "P11", "P6"]


def test_the_results_file_is_written_atomically(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    report.write_results(path, {"rows": {}})
    assert json.loads(path.read_text(encoding="utf-8")) == {"rows": {}}
    assert os.listdir(tmp_path) == ["results.json"]


def test_the_growth_exponent_comes_from_the_larger_sizes() -> None:
    linear = {size: 5 + size for size in (1, 10, 100, 1_000, 10_000, 100_000)}
    assert 0.99 < exponent({size: float(cost) for size, cost in linear.items()}) < 1.01
    square = {size: 1000 + size * size for size in (1, 10, 100, 1_000, 10_000, 100_000)}
    assert 1.99 < exponent({size: float(cost) for size, cost in square.items()}) < 2.01


def test_the_limit_sends_the_same_requests_as_the_notifier(standin: Standin) -> None:
    """Compares exact bodies and headers."""
    import influxdb3_notifier
    from tests.recording_local import RecordingLocal

    for notification in (three_channels(standin.url, 0), webhooks(standin.url, 0, 1)):
        wire, arguments = as_recorded(notification)
        body = json.dumps(notification.request).encode()
        body = body.replace(b"/sink/0", b"")
        influxdb3_notifier.process_request(1, RecordingLocal(), {}, {}, body, arguments)
        sent = standin.wait_for("/", len(wire))
        assert sorted(map(essence, sent)) == sorted(wire)
        standin.clear()


def as_recorded(notification: Notification) -> tuple[list[tuple[str, str]], dict[str, str]]:
    """The limit's requests and the trigger arguments, with recording providers in place of the sink."""
    wire = [
        (json.dumps(sorted(request["headers"])), request["body"].replace("/sink/0", ""))
        for request in notification.wire
    ]
    return wire, {key: value.replace("/sink/0", "") for key, value in notification.arguments.items()}


def essence(record: dict[str, Any]) -> tuple[str, str]:
    """The names of the headers, and the body."""
    names = sorted(name for name, _ in record["headers"] if name not in ("host", "content-length"))
    return json.dumps(names), record["body"]


MET = {True: "yes", False: "NO", None: ""}


def test_the_performance_page_has_the_last_whole_run_and_its_missed_targets() -> None:
    results = json.loads((ROOT / "bench" / "results.json").read_text(encoding="utf-8"))
    page = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    _, _, table = page.partition(report.BEGIN)
    table, _, _ = table.partition(report.END)
    assert set(results["rows"]) == set(all_rows())
    for name, row in results["rows"].items():
        if not row["target"]:
            continue
        line = next(line for line in table.splitlines() if f"|{row['what']}|" in line)
        number, *_, met = [cell.strip() for cell in line.strip("|").split("|")]
        assert (number, met) == (name.split()[0], "-" if row["not_run"] else MET[row["met"]])
    _, _, missed = page.partition("## Targets that are missed")
    missed, _, _ = missed.partition("\n## ")
    for name, row in results["rows"].items():
        assert row["met"] is not False or f"**{name.split()[0]}" in missed, name
