"""Rules of a run: training."""
