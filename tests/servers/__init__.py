"""Tests with real servers from the system's packages: ``make test-servers``. Not a part of ``make test``."""
