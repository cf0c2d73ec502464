"""What holds for every test."""

import os

# The networks here are tiny: one thread is faster than two that wait for each other. torch reads
# this when it is imported, and nothing has imported it yet.
os.environ.setdefault("OMP_NUM_THREADS", "1")
