"""Faults on purpose: every NVML function and every file and command of the recorded machines, failing in every way."""
