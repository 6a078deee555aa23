"""What a coding of integers level by level gives: a reader that wants a smaller picture stops at a level's end."""

from __future__ import annotations

from typing import NamedTuple, Tuple


class CodedPart(NamedTuple):
    """A payload of a picture or of a tile.

    Attributes:
        data: its bytes.
        ends: of each level from the coarsest to the finest, the bytes from the beginning that a reader needs for it.
    """

    data: bytes
    ends: Tuple[int, ...]
