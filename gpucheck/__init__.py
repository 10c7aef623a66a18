"""gpucheck: is the GPU stack right, give me an image that fits, and did it really run on the GPU."""

__version__ = "0.1.0"
