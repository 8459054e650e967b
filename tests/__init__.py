"""What Python tests: the plugin file run as the engine runs it, real sockets on loopback. A folder is a subject.

``channels``     each channel on the wire, a file a channel
``cli``          the command line, as it is installed
``contract``     what a caller sees: requests, answers, arguments, the configuration file, the official callers
``docs``         the documents: what they show is tried, what they name is there
``faults``       the hostile world, a test for each row of it; outboxes and the processes that are killed
``leaks``        a secret in every place, searched for in every output
``package``      what a user installs: wheel, plugin file, manifest, release, upgrade
``rows``         notifications of tables' rows
``shapes``       what the program answers and stores, each shape compared with a golden file
``servers``      against real servers: ``make test-servers``
``bench``        the benchmark's refusals and its page

``engine_host``  does what the Processing Engine does; its own tests are beside it
``harness``      what all of them stand on: stand-in, engines, triggers, requests

Beside the folders: ``demo`` is ``make demo``, ``run_all`` is what ``make test`` runs, ``fork_server`` starts processes
for ``harness``. ``rust`` has the tests of several crates together, ``embedding`` those of an embedded interpreter.
"""
