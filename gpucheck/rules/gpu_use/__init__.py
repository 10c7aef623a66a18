"""Rules of a run: gpu_use."""
