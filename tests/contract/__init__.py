"""The contract with callers as tables: each row a request, with everything that must come of it."""
