"""Rules of a run: kernels."""
