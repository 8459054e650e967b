"""Against real servers that the system's packages provide: ``make test-servers``. Never a part of ``make test``."""
