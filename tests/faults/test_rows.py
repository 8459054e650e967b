"""Row 55: the database's writers wait for no delivery."""

import time

from influxdb3_notifier import process_writes
from tests.faults.scene import TooLateError, best_of_three
from tests.harness import eventually
from tests.rows.scene import Table

PLUGIN_API = 1


class Silent:
    """An engine's object that nobody reads."""

    def info(self, _line: str) -> None:
        """A log line."""

    warn = error = info


@best_of_three
def test_row_55_a_hundred_batches_return_in_20_ms_each_while_the_destination_hangs(table: Table) -> None:
    silent = table.standin.fault("silent")
    more = f'[receivers.dead]\nhttp = {{ webhook_url = "{silent["url"]}x" }}\n[[routes]]\nreceivers = ["dead"]\n'
    table.configure(more=more)
    arguments = {"config_file_path": str(table.path), "delivery_timeout": "1s"}
    slowest = 0.0
    for number in range(100):
        rows = [{"message": f"{number}.{row}", "host": "db1", "time": number * 10 + row} for row in range(10)]
        begun = time.perf_counter()
        process_writes(PLUGIN_API, Silent(), [{"table_name": "alerts", "rows": rows}], arguments)
        slowest = max(slowest, time.perf_counter() - begun)
    if slowest > 0.020:
        raise TooLateError(f"{slowest * 1000:.1f} ms")
    # They are under way all the same.
    eventually(lambda: table.standin.fault_report(silent["port"])["requests"] >= 8)
