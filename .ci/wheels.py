"""Makes the wheels of all platforms on one machine, and checks them: `make wheels`.

zig compiles the native library for each platform; its own copies of the C libraries make that possible. The wheel for
any platform has no library.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from zipfile import ZipFile

# Tag of the wheel: what zig calls the platform. 2.17 is the glibc of manylinux2014.
PLATFORMS = {
    "manylinux2014_x86_64": "x86_64-linux-gnu.2.17",
    "manylinux2014_aarch64": "aarch64-linux-gnu.2.17",
    "musllinux_1_1_x86_64": "x86_64-linux-musl",
    "musllinux_1_1_aarch64": "aarch64-linux-musl",
    "macosx_11_0_x86_64": "x86_64-macos.11.0",
    "macosx_11_0_arm64": "aarch64-macos.11.0",
    "win_amd64": "x86_64-windows-gnu",
}
ROOT = Path(__file__).resolve().parent.parent
DIST = ROOT / "dist"
sys.path.insert(0, str(ROOT))

from nifcodec.desktop.generated import COMPLETIONS, MAN_PAGE  # noqa: E402


def build(environment: dict, *arguments: str) -> None:
    """Builds from a copy of the sources, so that nothing of another platform is left in it."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "nifcodec")
        tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout
        for name in filter(None, tracked.decode().split("\0")):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
        command = [sys.executable, "-m", "build", "--outdir", str(DIST), *arguments, str(copy)]
        subprocess.run(command, env={**os.environ, **environment}, check=True, stdout=subprocess.DEVNULL)


def check() -> None:
    """Holds metadata against what an index takes, files against what is promised, and libraries against their tags."""
    files = sorted(map(str, DIST.iterdir()))
    subprocess.run([sys.executable, "-m", "twine", "check", "--strict", *files], check=True)
    for path in files:
        if path.endswith(".whl"):
            made = {name.partition("/data/share/")[2] for name in ZipFile(path).namelist()}
            missing = {*COMPLETIONS.values(), MAN_PAGE} - made
            if missing:
                raise SystemExit(f"{path} is without {', '.join(missing)}")
        tag = re.search(r"(many|musl)linux\w+", path)
        if tag:
            command = [sys.executable, "-m", "auditwheel", "show", path]
            shown = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout
            if tag[0] not in shown.replace("manylinux_2_17", "manylinux2014"):
                raise SystemExit(f"{path} is not what its tag says: {shown}")


def main() -> None:
    shutil.rmtree(DIST, ignore_errors=True)
    for tag, target in PLATFORMS.items():
        print(tag, flush=True)
        environment = {"NIFCODEC_NATIVE": "1", "NIFCODEC_PLATFORM": tag}
        environment["CC"] = f"{sys.executable} -m ziglang cc -target {target}"
        if "linux" in tag:
            # All that the library needs is memcpy and memset, which the process has: so it names no C library.
            environment["LDFLAGS"] = "-nostdlib"
        build(environment, "--wheel")
    print("any", flush=True)
    build({"NIFCODEC_NATIVE": "0"}, "--wheel", "--sdist")
    check()


if __name__ == "__main__":
    main()
