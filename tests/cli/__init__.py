"""The command line, as it is installed."""
