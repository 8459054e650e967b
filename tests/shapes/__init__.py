"""The shapes of responses and stored records. A golden file documents each shape."""
