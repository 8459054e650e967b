"""The benchmark: it reports nothing that is not so."""
