"""Rules of a run: timing."""
