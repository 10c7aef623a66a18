"""Rules of a host: system."""
