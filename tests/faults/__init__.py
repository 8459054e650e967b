"""Faults of networks, providers, processes and disks.

Most tests send with :meth:`tests.faults.isolation.IsolationCheck.check`, which checks that a fault stays isolated.
Faults that need a fake resolver or channel are tested in ``tests/rust``.
"""
