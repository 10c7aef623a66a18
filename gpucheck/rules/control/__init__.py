"""Rules of a run: control."""
