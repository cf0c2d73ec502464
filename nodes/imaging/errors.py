"""What reading and writing pictures raises.

* PictureError          a file cannot be read as a picture, or a picture cannot be written so
  + TextSizeError         the format has no room for the texts; carries the sizes
* LibraryMissing        a library that not everybody has is not installed; says how to install it
"""


class PictureError(Exception):
    """A picture cannot be read or written; the message names the file and what is wrong."""


class TextSizeError(PictureError):
    """The texts to write with a picture take `size` bytes; the format holds `limit`."""

    def __init__(self, message: str, *, size: int, limit: int) -> None:
        super().__init__(message)
        self.size = size
        self.limit = limit


class LibraryMissing(Exception):
    """`library` is not installed."""

    def __init__(self, library: str) -> None:
        super().__init__(f"this needs {library}, which is not installed: pip install {library}")
        self.library = library
