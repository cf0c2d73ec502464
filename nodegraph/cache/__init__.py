"""Results by content key: memory, bounded in bytes and aware of cost, over disk.

results.py   Cache: what the executor asks; Entry, Stored
ranking.py   which result to let go first (GreedyDual-Size-Frequency)
disk.py      DiskCache: a bounded folder of results, written in the background
writer.py    the thread that writes, and what waits for it
files.py     one result as one safetensors file
"""

from .disk import DiskCache, DiskStats
from .results import Cache, CacheStats, Entry, Stored

__all__ = ["Cache", "CacheStats", "DiskCache", "DiskStats", "Entry", "Stored"]
