"""What a fresh interpreter pays: ``python -m bench.fresh import`` or ``python -m bench.fresh first REQUEST``.

``import`` prints nanoseconds of the import and of the import with what the first call starts; ``first`` sends a
notification and prints the bytes of private dirty memory before and after.
"""

import sys
import time
from typing import Any


def main() -> None:
    """Measure what the command line asks for."""
    started = time.perf_counter_ns()
    from influxdb3_notifier import process_request

    imported = time.perf_counter_ns() - started
    # Whatever else is imported comes after, not to be counted.
    from bench.memory import private_dirty
    from bench.worker import Local

    if sys.argv[1] == "import":
        began = time.perf_counter_ns()
        _, status, *_ = process_request(1, Local(), {"view": "status"}, {}, b"", None)
        ready = imported + time.perf_counter_ns() - began
        assert status == 200
        print([imported, ready])
        return
    before = private_dirty("self")
    answer: Any = process_request(1, Local(), {}, {}, sys.argv[2].encode(), None)
    after = private_dirty("self")
    delivered = sum(entry["outcome"] == "delivered" for entry in answer[0]["deliveries"])
    print([before, after, delivered])


if __name__ == "__main__":
    main()
