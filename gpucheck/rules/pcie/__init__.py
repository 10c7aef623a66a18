"""Rules of a host: pcie."""
