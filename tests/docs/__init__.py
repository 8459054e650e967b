"""The documents: what they show is tried, and what they name is there."""
