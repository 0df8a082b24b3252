"""Measures on this machine what the tools cost: `python -m benchmarks.NAME`."""
