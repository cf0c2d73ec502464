"""What the performance claims are measured with. `python -m benchmarks` prints every table."""
