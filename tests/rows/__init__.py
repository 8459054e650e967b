"""Notifications of tables' rows, and what keeps a storm of them calm."""
