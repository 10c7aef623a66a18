"""Rules of a host: docker."""
