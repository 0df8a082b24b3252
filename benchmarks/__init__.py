"""What the tools cost, measured on this machine: `python -m benchmarks.NAME`."""
