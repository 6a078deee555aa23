"""What an encoder is asked to do: one frozen `EncodeConfig`, handed down unchanged.

It has what every family of fields understands; what only one family has is in `EncodeConfig.options`, an object of the
dataclass in the family's module `options`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Optional

from nifcodec.errors import ConfigError
from nifcodec.options import check, described, given, option

# Above the native size: the detail network that a file names, or the Lanczos kernel.
INTERPOLATIONS = ("auto", "lanczos")
TRANSFERS = ("auto", "log", "linear", "pq")
DEFAULT_QUALITY = 60.0
TARGETS = ("quality", "bpp", "target_size", "psnr")

# Headings of the command line's help.
GOAL = "quality or size, and effort"
PICTURE = "picture"
FIELD = "field"
MACHINE = "machine"
DEVICE = "where it trains (docs/devices.md, docs/ipu.md)"
WATCH = "watching it train (docs/watching.md)"
# A training may be continued with other options of these groups: they change neither its course nor its result.
BESIDE_THE_RESULT = (MACHINE, DEVICE, WATCH)

MOST_STEPS = 10_000_000
MOST_THREADS = 1024


@dataclass(frozen=True)
class EncodeConfig:
    """Options of one encode; None means "follows from the others".

    At most one of `quality`, `bpp`, `target_size` and `psnr` may be given; none means `DEFAULT_QUALITY`.

    Attributes:
        field: name of the family of the field, one of `fields.families.names()`, or "auto": the better of `wavelet` and
            `pyramid` from effort 6 on, and of drawings from 3 on; else `wavelet` (`fields.contest`).
        quality: 0 (smallest) to 100 (best).
        bpp: bits per pixel of the whole file, > 0.
        target_size: bytes of the whole file, > 0.
        psnr: PSNR in dB of the decoded picture, over RGB; of a float picture, on its log values.
        effort: 1 (fastest) to 9.
        steps: training steps (`wavelet`: rounds) in place of what effort asks for.
        seed: seed of everything random; the same seed gives the same file on the same machine.
        strip: drop EXIF and XMP (the ICC profile always stays).
        transfer: curve between the light of a float picture and what is coded: "log", "linear", "pq", or "auto" (log).
        sanitize: replace NaN and infinities of a float picture, which are an error otherwise.
        threads: at most, of what runs outside of TensorFlow; None means one for each core.
        device: "cpu", "gpu", "ipu", or "auto": a GPU where TensorFlow finds one, else the CPU; of `wavelet` the CPU.
        replicas: copies of the network that share each batch, or the picture's tiles; None means one, or, for the MLP
            fields, with TF_CONFIG what the cluster has.
        executable_cache: folder of an IPU's compiled programs.
        checkpoint: HDF5 file that the state of the training is written to.
        checkpoint_every: seconds between two writes of it; None means 2.
        resume: go on from the checkpoint where there is one.
        tensorboard: folder that the training of this picture is logged to, for TensorBoard.
        eval_every: steps (`wavelet`: rounds) between two evaluations for it, at least; None means as many as the
            process that makes them is quick enough for.
        options: what only the field's family has, such as `SirenOptions`; None means its defaults.

    Raises ConfigError for an option outside of its range, and for options that exclude or need each other.
    """

    quality: Optional[float] = option(
        float,
        None,
        "low to high; --psnr goes on beyond 100",
        GOAL,
        limits=(0, 100),
        unset=f"{DEFAULT_QUALITY:.0f}",
        metavar="Q",
        flags=("-q", "--quality"),
    )
    bpp: Optional[float] = option(
        float, None, "most bits per pixel of the whole file", GOAL, limits=(1e-6, 64), metavar="B"
    )
    target_size: Optional[int] = option(
        int, None, "most bytes of the whole file", GOAL, limits=(1, 2**31), metavar="BYTES"
    )
    psnr: Optional[float] = option(
        float,
        None,
        "least RGB PSNR of the decoded picture; of a float one, on its log values",
        GOAL,
        limits=(5, 80),
        metavar="DB",
    )
    effort: int = option(int, 5, "fastest to most careful", GOAL, limits=(1, 9), metavar="E", flags=("-e", "--effort"))
    steps: Optional[int] = option(
        int, None, "training steps; rounds of wavelet", GOAL, limits=(1, MOST_STEPS), unset="from the effort"
    )
    seed: int = option(int, 0, "seed of everything random", GOAL, limits=(0, 2**31 - 1))
    strip: bool = option(bool, False, "drop EXIF and XMP; the ICC profile always stays", PICTURE)
    transfer: str = option(
        str, "auto", "curve between the light of a float picture and the field; auto is log", PICTURE, choices=TRANSFERS
    )
    sanitize: bool = option(bool, False, "replace NaN by 0 and infinities by the largest finite value", PICTURE)
    field: str = option(
        str, "auto", "auto: wavelet; from -e 6 on, of drawings from -e 3 on, the better of wavelet and pyramid", FIELD
    )
    threads: Optional[int] = option(
        int, None, "threads at most", MACHINE, limits=(1, MOST_THREADS), unset="one for each core"
    )
    device: str = option(
        str, "auto", "auto: a GPU if there is one; of wavelet the CPU", DEVICE, choices=("auto", "cpu", "gpu", "ipu")
    )
    replicas: Optional[int] = option(
        int, None, "networks that share each batch, or the tiles", DEVICE, limits=(1, 4096), unset="1"
    )
    executable_cache: Optional[str] = option(str, None, "folder of an IPU's compiled programs", DEVICE, metavar="DIR")
    checkpoint: Optional[str] = option(
        str, None, "HDF5 file that keeps the state of the training", DEVICE, metavar="FILE"
    )
    checkpoint_every: Optional[float] = option(
        float, None, "seconds between two writes of the checkpoint", DEVICE, limits=(0, 86_400), unset="2", metavar="S"
    )
    resume: bool = option(bool, False, "go on from the checkpoint where there is one", DEVICE)
    tensorboard: Optional[str] = option(
        str, None, "log for TensorBoard: a run a picture, in folders of DIR", WATCH, metavar="DIR"
    )
    eval_every: Optional[int] = option(
        int, None, "steps or rounds between evaluations", WATCH, limits=(1, MOST_STEPS), unset="as many as it can"
    )
    options: Optional[Any] = None

    def __post_init__(self) -> None:
        targets = [target for target in TARGETS if getattr(self, target) is not None]
        if len(targets) > 1:
            raise ConfigError(f"{' and '.join(targets)} exclude each other: give one of them")
        check(self)
        if self.eval_every is not None and self.tensorboard is None:
            raise ConfigError("eval_every needs a log for its results: give --tensorboard DIR")
        if self.executable_cache is not None and self.device != "ipu":
            raise ConfigError("executable_cache is of an IPU: give --device ipu, or leave it out")
        if self.checkpoint_every is not None and self.checkpoint is None:
            raise ConfigError("checkpoint_every needs the checkpoint to write: give --checkpoint FILE")
        if self.resume and self.checkpoint is None:
            raise ConfigError("resume needs the checkpoint to go on from: give --checkpoint FILE")

    @property
    def placed(self) -> List[str]:
        """Names of the options that say where and how training runs, where they are given."""
        return [name for name, about in given(self).items() if about.group == DEVICE]

    def of_the_result(self) -> Dict[str, Any]:
        """Values by name of all options that the file depends on, those of the family too."""
        return {
            name: getattr(holder, name)
            for holder in (self, self.options)
            if holder is not None
            for name, about in described(type(holder)).items()
            if about.group not in BESIDE_THE_RESULT
        }
