"""Rules of a run: verdict."""
