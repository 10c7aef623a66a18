"""Rules of a host: nvml."""
