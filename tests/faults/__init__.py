"""The hostile world: a test for each row of what is thrown at the notifier, named after its row.

Every test lets :meth:`tests.faults.scene.Scene.holds` send its request: that looks after what must be so in every row.
Rows that need another resolver or a fake channel are tested in ``tests/rust``.
"""
