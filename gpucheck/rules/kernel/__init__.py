"""Rules of a host: kernel."""
