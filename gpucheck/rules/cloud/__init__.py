"""Rules of a host: cloud."""
