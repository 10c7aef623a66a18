"""Rules of a run: run."""
