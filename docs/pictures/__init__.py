"""Draws the pictures of docs/channels.md: ``make pictures``.

Each is drawn from what a dry run of the example beside it shows, in HTML and CSS that look like the provider's client,
by a headless Chromium. ``docs/images/drawn.json`` keeps of what payload each picture is, so that a test can tell when
one is no longer true.
"""
