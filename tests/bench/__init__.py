"""The benchmark reports only valid measurements."""
