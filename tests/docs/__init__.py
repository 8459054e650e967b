"""The documents: their examples work, and the names in them exist."""
