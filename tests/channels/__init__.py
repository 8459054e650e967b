"""The requests of each channel, and the handling of its provider's replies.

A channel has one file here, ``test_NAME.py``, whose ``CHANNEL`` says what the registry cannot know: where the stand-in
plays its provider, the bytes that arrive, what the provider may answer. ``test_every_channel.py`` holds all of them to
it. Mail has a second file, ``test_email_server.py``: what a mail server may answer is no HTTP.
"""
