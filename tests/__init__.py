"""Tests in Python: the plugin file as the engine runs it, with real sockets on loopback. Each folder has a subject.

``channels``     the requests of each channel, a file for each channel
``cli``          the command line, as it is installed
``contract``     the interface of a caller: requests, answers, arguments, the configuration file, the official callers
``docs``         the documents: their examples work, and the names in them exist
``faults``       faults of networks and providers; outboxes, and killed processes
``leaks``        no output shows a secret
``package``      the installed files: wheel, plugin file, manifest, release, upgrade
``rows``         notifications from rows of tables
``shapes``       responses and stored records, compared with golden files
``servers``      tests with real servers: ``make test-servers``
``bench``        the benchmark's checks and its page

``engine_host``  a simulation of the Processing Engine, and its tests
``harness``      shared support: stand-in, engines, triggers, requests

Other modules: ``demo`` is ``make demo``, ``run_all`` is what ``make test`` runs, ``fork_server`` starts processes
for ``harness``. ``rust`` has the tests of several crates together, ``embedding`` those of an embedded interpreter.
"""
