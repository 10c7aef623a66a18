"""Rules of a host: linker."""
