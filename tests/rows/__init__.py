"""Notifications of tables' rows, and their rate limits and digests."""
