"""Marked secrets in every possible location, echoed in every encoding, and searched for in every output.

A new place is a row of ``PLACES`` or ``FILE_PLACES``, a new spelling one of ``ECHOES``, a new output one more line in
``Outputs``. What Rust alone could print (``Debug``, panics) is searched in ``tests/rust/tests/all/leaks.rs``.
"""
