"""Builds the native library, a plain C99 shared library, where there is a C compiler; all else is in pyproject.toml.

`NIFCODEC_NATIVE=0` leaves it out; `NIFCODEC_NATIVE=1` fails where it cannot be built, in place of going on without it.
`NIFCODEC_PLATFORM` is the tag of the platform that `CC` compiles for, where it is another one (.ci/wheels.py).
"""

import os
import shlex
import subprocess
import sys
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any, Optional, Tuple

from setuptools import Distribution, setup
from setuptools.command.build_py import build_py

try:
    from setuptools.command.bdist_wheel import bdist_wheel
except ImportError:  # setuptools before 70.1
    from wheel.bdist_wheel import bdist_wheel

SOURCES = Path(__file__).resolve().parent / "nifcodec" / "native"
PLATFORM = os.environ.get("NIFCODEC_PLATFORM", "")
ENDINGS = {"win": ".dll", "mac": ".dylib", "dar": ".dylib"}
NAME = "_nifcodec" + ENDINGS.get((PLATFORM or sys.platform)[:3], ".so")
FLAGS = "-std=gnu99 -O3 -fno-math-errno -ffp-contract=off -fvisibility=hidden -fPIC -shared"


@lru_cache(maxsize=1)
def compiled() -> Optional[bytes]:
    """The library, or None where it is not wanted or there is no compiler for it."""
    switch, found = os.environ.get("NIFCODEC_NATIVE", ""), []
    named = [os.environ["CC"]] if os.environ.get("CC") else ["cc", "gcc", "clang"]
    with tempfile.TemporaryDirectory() as folder:
        for compiler in named if switch != "0" else []:
            command = [*shlex.split(compiler), *FLAGS.split(), *map(str, sorted(SOURCES.glob("*.c")))]
            try:
                subprocess.run([*command, "-o", str(Path(folder, NAME))], check=True)
                return Path(folder, NAME).read_bytes()
            except (OSError, subprocess.CalledProcessError) as error:
                found.append(f"{compiler}: {error}")
    if switch == "1":
        raise SystemExit(f"NIFCODEC_NATIVE=1 asks for the native library, which no compiler builds: {found}")
    print("nifcodec is installed without its native library and will be slow:", found or "NIFCODEC_NATIVE=0")
    return None


class BuildWithLibrary(build_py):
    def run(self) -> None:
        super().run()
        library = compiled()
        folder = SOURCES if getattr(self, "editable_mode", False) else Path(self.build_lib, "nifcodec", "native")
        if library is not None and not self.dry_run:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / NAME).write_bytes(library)


class WheelOfPlatform(bdist_wheel):
    def get_tag(self) -> Tuple[str, str, str]:
        return ("py3", "none", PLATFORM or super().get_tag()[2])


class MaybeNative(Distribution):
    def has_ext_modules(self) -> bool:
        return compiled() is not None


if __name__ == "__main__":
    commands: Any = {"build_py": BuildWithLibrary, "bdist_wheel": WheelOfPlatform}
    setup(distclass=MaybeNative, cmdclass=commands)
