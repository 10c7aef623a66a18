"""Rules of a host: pci."""
