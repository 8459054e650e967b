"""The benchmark of the notifier and its peers, in one run on one machine: ``make bench``."""
