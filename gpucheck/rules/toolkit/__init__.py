"""Rules of a host: toolkit."""
