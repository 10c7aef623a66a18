"""gpucheck beside other tools that look at NVIDIA GPUs, on the same fixture machines: `scripts/bench peers`."""
