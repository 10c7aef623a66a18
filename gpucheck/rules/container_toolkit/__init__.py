"""Rules of a host: container_toolkit."""
