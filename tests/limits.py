"""`python -m tests.limits FILE...`: each input in a process of its own, with 50 MB of memory and one second of CPU.

By its ending a file is an input of the fuzz harness (.fuzz), a field (.nif) or a picture. Anything but a picture or a
NifError is printed, and makes the exit code 1.
"""

from __future__ import annotations

import os
import resource
import sys
import traceback
from pathlib import Path

from nifcodec import decoder
from nifcodec.errors import NifError
from nifcodec.picture.read import read_image
from tests import fuzz

MEMORY, SECONDS = 50 * 10**6, 1
LARGEST = 64  # pixels a side, to be decoded within this


def examine(path: Path) -> None:
    """Whatever a reader does with such a file."""
    data = path.read_bytes()
    try:
        if path.suffix == ".fuzz":
            fuzz.one_input(data)
        elif path.suffix == ".nif":
            info = decoder.inspect(data)
            if max(info.width, info.height) <= LARGEST:
                decoder.decode(data, max_pixels=LARGEST**2)
        else:
            read_image(data)
    except NifError as error:
        # A library's failure to allocate is reported as one of the picture.
        assert "alloc" not in str(error) and "memory" not in str(error), error


def limited(path: Path) -> bool:
    """True where `examine` came to its end within the limits."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1] == 0
    with open("/proc/self/statm", encoding="ascii") as pages:
        size = int(pages.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    try:
        examine(path)
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def main() -> int:
    """Loads what every reader loads, then lets the inputs in."""
    for path in sorted(fuzz.GOLDEN.glob("*.nif")):
        # Threads would leave memory behind that is reserved and not used, for an input to grow into.
        decoder.decode(path.read_bytes(), threads=1)
    failed = [name for name in sys.argv[1:] if not limited(Path(name))]
    for name in failed:
        print(f"{name}: not within {MEMORY} bytes and {SECONDS} s, or not a NifError", file=sys.stderr)
    return min(len(failed), 1)


if __name__ == "__main__":
    sys.exit(main())
