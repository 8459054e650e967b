"""The installed command line."""
