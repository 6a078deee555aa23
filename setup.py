"""Builds the native library, a plain C99 shared library, where there is a C compiler, and what is made of the parser:
completions and the man page. All else is in pyproject.toml.

`NIFCODEC_NATIVE=0` leaves the library out; `NIFCODEC_NATIVE=1` fails where it cannot be built.
`NIFCODEC_PLATFORM` is the tag of the platform that `CC` compiles for, where it is another one (.ci/wheels.py).
"""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, List, Optional, Tuple

from setuptools import Distribution, setup
from setuptools.command.build_py import build_py

# isort: split
# Newer Pythons have distutils through setuptools alone, and setuptools has no such command of its own.
from distutils.command.install_data import install_data

try:
    from setuptools.command.bdist_wheel import bdist_wheel
except ImportError:  # setuptools before 70.1
    from wheel.bdist_wheel import bdist_wheel

ROOT = Path(__file__).resolve().parent
SOURCES = ROOT / "nifcodec" / "native"
PLATFORM = os.environ.get("NIFCODEC_PLATFORM", "")
ENDINGS = {"win": ".dll", "mac": ".dylib", "dar": ".dylib"}
NAME = "_nifcodec" + ENDINGS.get((PLATFORM or sys.platform)[:3], ".so")
FLAGS = ["-std=gnu99", "-O3", "-fno-math-errno", "-ffp-contract=off", "-fvisibility=hidden", "-fPIC"]


def compilers() -> List[List[str]]:
    """Commands of the C compilers to try; none where no library is wanted."""
    if os.environ.get("NIFCODEC_NATIVE") == "0":
        return []
    if os.environ.get("CC"):
        return [shlex.split(os.environ["CC"])]
    return [[name] for name in ("cc", "gcc", "clang") if shutil.which(name)]


def compiled() -> Optional[bytes]:
    """The library, or None where it is not wanted or there is no compiler for it."""
    for compiler in compilers():
        try:
            return compiled_by(compiler)
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"{' '.join(compiler)} does not build the native library: {error}")
    if os.environ.get("NIFCODEC_NATIVE") == "1":
        raise SystemExit("NIFCODEC_NATIVE=1 asks for the native library, and no C compiler builds it")
    print("nifcodec is installed without its native library and will be slow")
    return None


def compiled_by(compiler: List[str]) -> bytes:
    """The library by one compiler; the sources side by side. Raises OSError, subprocess.CalledProcessError."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(os.cpu_count()) as pool:

        def built(source: Path) -> str:
            target = str(Path(folder, source.stem + ".o"))
            subprocess.run([*compiler, *FLAGS, "-c", str(source), "-o", target], check=True)
            return target

        objects = list(pool.map(built, sorted(SOURCES.glob("*.c"))))
        library = Path(folder, NAME)
        options = shlex.split(os.environ.get("LDFLAGS", ""))
        subprocess.run([*compiler, "-shared", *objects, *options, "-o", str(library)], check=True)
        return library.read_bytes()


class BuildWithLibrary(build_py):
    def run(self) -> None:
        super().run()
        library = compiled()
        folder = SOURCES if getattr(self, "editable_mode", False) else Path(self.build_lib, "nifcodec", "native")
        if library is not None and not self.dry_run:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / NAME).write_bytes(library)


class InstallShare(install_data):
    """Puts into share/ the files that pyproject.toml names, and those that are made of the parser."""

    def run(self) -> None:
        super().run()
        try:
            import argparse_manpage  # noqa: F401
            import shtab  # noqa: F401
        except ImportError as error:
            print(f"nifcodec is installed without completions and man page: {error}")
            return
        sys.path.insert(0, str(ROOT))
        from nifcodec.desktop import generated

        about = self.distribution
        made = generated.write(Path(self.install_dir, "share"), about.get_version(), about.get_description())
        self.outfiles += map(str, made)


class WheelOfPlatform(bdist_wheel):
    def get_tag(self) -> Tuple[str, str, str]:
        return ("py3", "none", PLATFORM or super().get_tag()[2])


class MaybeNative(Distribution):
    def has_ext_modules(self) -> bool:
        # Of every step of an installation, only the one that makes a wheel compiles.
        return bool(compilers())


if __name__ == "__main__":
    commands: Any = {"build_py": BuildWithLibrary, "install_data": InstallShare, "bdist_wheel": WheelOfPlatform}
    setup(distclass=MaybeNative, cmdclass=commands)
