"""``python -m influxdb3_notifier``: the command line."""

import sys

from influxdb3_notifier.cli import main

if __name__ == "__main__":
    sys.exit(main())
