"""What makes a release: wheels, their checks, and the version where it must stand in words."""
