"""Rules of a run: placement."""
