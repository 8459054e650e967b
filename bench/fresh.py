"""The import time of a new interpreter: ``python -m bench.fresh``.

Prints nanoseconds of the import, and of the import with what the first call starts.
"""

import time


def main() -> None:
    """Measure."""
    started = time.perf_counter_ns()
    from influxdb3_notifier import process_request

    imported = time.perf_counter_ns() - started
    # Later imports are not measured.
    from tests.recording_local import RecordingLocal

    began = time.perf_counter_ns()
    _, status, *_ = process_request(1, RecordingLocal(), {"view": "status"}, {}, b"", None)
    ready = imported + time.perf_counter_ns() - began
    assert status == 200
    print([imported, ready])


if __name__ == "__main__":
    main()
