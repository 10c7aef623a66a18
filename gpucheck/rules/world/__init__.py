"""Rules of a run: world."""
