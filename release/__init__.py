"""The release: wheels, their checks, and the version in documents."""
