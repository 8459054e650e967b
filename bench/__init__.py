"""The benchmark: ours and every peer side by side, in one run on one machine. ``make bench`` runs it."""
