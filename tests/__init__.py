"""End-to-end tests: the plugin file run as the engine runs it, real sockets on loopback."""
