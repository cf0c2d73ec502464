"""What the performance claims are measured with. `python -m benchmarks` prints every table."""

import os

# As the command line does, for us and for our peers: see docs/performance.md, "Threads".
os.environ.setdefault("GOMP_SPINCOUNT", "5000")
