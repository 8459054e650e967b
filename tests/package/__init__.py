"""What a user installs: the wheel, the plugin file, the manifest; how they are released and upgraded."""
