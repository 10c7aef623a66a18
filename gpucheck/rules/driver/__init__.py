"""Rules of a host: driver."""
