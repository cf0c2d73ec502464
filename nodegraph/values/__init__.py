"""What is inside a value that travels over a link: its content, its size, where its tensors are.

A value is a tree. Its branches are dataclass instances, tuples, lists, dicts, sets and Many; its
leaves are tensors, numpy arrays and plain data (numbers, text, bytes, None). Everything else (a
model, a callable) is opaque: it counts as the object it is, and is never looked into.

    tree.py     what a branch is and what it holds; Many
    content.py  fingerprint: a checksum of everything in a value
    size.py     nbytes, device_bytes
    move.py     to_host, move

torch and numpy are not imported here: a value can only hold what has been imported already.
"""

from .content import device_checksum, fingerprint
from .move import move, to_host
from .size import device_bytes, nbytes
from .tree import Many

__all__ = ["Many", "device_bytes", "device_checksum", "fingerprint", "move", "nbytes", "to_host"]
