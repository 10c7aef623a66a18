"""Rules of a host: services."""
