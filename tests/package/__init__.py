"""The installed files: wheel, plugin file and manifest; their release and upgrade."""
