"""A stand-in for InfluxDB 3's Processing Engine, for tests, demo and benchmark.

The source of a plugin is compiled and executed anew at every call, on a worker thread; return values are
read with the engine's oddities; what the engine's ``influxdb3_local`` cannot do from another thread, this
one cannot do either.

``host``           the triggers, and what tells them that something has happened: :class:`EngineHost`
``server``         HTTP: requests, writes, and how the host is controlled
``workers``        an enabled trigger of each kind: requests, writes, a schedule
``trigger``        what a trigger is: its specification, its arguments
``schedule``       when a scheduled trigger runs
``calls``          threads for calls, and what they share
``plugin``         one call: load the source, call its function
``answer``         what the engine makes of the value returned
``local``          ``influxdb3_local``
``database``       what is written, and its flushes
``line_protocol``  reading it
``line_builder``   ``LineBuilder``, which plugins find among the builtins
``durations``      as the engine reads and writes them
``logs``           the rows of ``system.processing_engine_logs``
``sql``            queries over what was written
``command``        the ``influxdb3`` command line in front of a host
``text_plugins``   support for the tests of the host, which are beside it: plugins as text
"""
