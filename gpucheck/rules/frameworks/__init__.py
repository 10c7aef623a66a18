"""Rules of a host: frameworks."""
