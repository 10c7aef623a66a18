"""Rules of a host: packages."""
