"""The forward chain: picture -> signal -> coded field -> bytes, measured as the file that they became."""

from __future__ import annotations

import contextlib
import math
import time
import warnings
from dataclasses import dataclass, replace
from typing import Any, Callable, ContextManager, Dict, Optional, Union

import numpy as np

from nifcodec import decoder
from nifcodec.config import EncodeConfig
from nifcodec.container import FLAT, NifFile, Packer
from nifcodec.exact.parts import ExactParts, separate
from nifcodec.fields import families
from nifcodec.fields.contest import best_of, settled
from nifcodec.fields.family import CodedField
from nifcodec.fields.hooks import Hooks
from nifcodec.fields.job import Goal
from nifcodec.monitor.watcher import Watcher
from nifcodec.picture import metrics
from nifcodec.picture.image import Image, finite, from_array
from nifcodec.picture.signal import Signal, to_signal
from nifcodec.threads import at_most

SAMPLE_SIDE = 256  # of the part of a picture that shows how long measuring takes

Progress = Callable[[Any], None]
Interrupt = Callable[[], bool]


@dataclass(frozen=True)
class Report:
    """What the bytes that were written decode to.

    Attributes:
        bytes: of the whole file; `parts` says where they are ("header", "weights", "metadata") and sums to it.
        bpp: 8 x bytes / pixels.
        psnr_rgb: dB, RGB of the decoded file, MSE over the three channels; None for floats, and if not measured.
        ms_ssim: multi-scale structural similarity; None as `psnr_rgb`.
        seconds: from the picture to the file, which is measured in them where it is measured.
        steps: training steps.
        field: name of the family.
        device: what it was trained on, and how batches were split or the picture cut, in words; None if untrained.
        psnr_log, psnr_pu21: dB, of a float picture, on its log values and on those of PU21; None for integers.
    """

    bytes: int
    width: int
    height: int
    bpp: float
    psnr_rgb: Optional[float]
    ms_ssim: Optional[float]
    seconds: float
    steps: int
    field: str
    parts: Dict[str, int]
    device: Optional[str]
    psnr_log: Optional[float] = None
    psnr_pu21: Optional[float] = None


@dataclass(frozen=True)
class Encoded:
    """The file and what is to be said of it; `missed` says how a target was missed, None where it was not."""

    data: bytes
    report: Report
    missed: Optional[str] = None


def encode(
    picture: Union[np.ndarray, Image],
    config: EncodeConfig = EncodeConfig(),  # noqa: B008  frozen
    progress: Optional[Progress] = None,
    interrupt: Optional[Interrupt] = None,
) -> bytes:
    """The `.nif` of a picture.

    Args:
        picture: (H, W) or (H, W, 1..4): grey, grey+alpha, RGB, RGBA with straight alpha; or an Image. uint8 and uint16
            are integers up to white, float32 and float16 are linear light, with premultiplied alpha.
        config: what is asked for.
        progress: called now and then with a `fields.hooks.Progress`.
        interrupt: polled now and then; True ends the training with the best state so far.

    Raises:
        ImageError, ConfigError, MissingDependencyError, TrainingError, DeviceError, WorkerLostError,
        InterruptedEncodeError; OutputError where the folder of `config.tensorboard` cannot be made.
    """
    image = picture if isinstance(picture, Image) else from_array(picture)
    with at_most(config.threads):
        file = _encode(image, config, progress, interrupt)
        reached = None if file.goal.psnr is None else file.goal.measure(file.data)
    missed = _missed(file, reached)
    if missed is not None:
        warnings.warn(missed, stacklevel=2)
    return file.data


def encode_image(
    image: Image,
    config: EncodeConfig = EncodeConfig(),  # noqa: B008  frozen
    progress: Optional[Progress] = None,
    interrupt: Optional[Interrupt] = None,
    measure: bool = True,
) -> Encoded:
    """`encode`, with a report of the file, which is decoded for it. A missed target is told without a warning.

    Args:
        measure: False leaves out what needs the decoded picture, but for a PSNR that was asked for.
    """
    started = time.monotonic()
    with at_most(config.threads):
        file = _encode(image, config, progress, interrupt, measure)
        reached = None
        if measure:
            measured = _measured(file, Hooks(progress, after=0.0))
            reached = measured["psnr_log"] if measured["psnr_rgb"] is None else measured["psnr_rgb"]
        else:
            measured = dict.fromkeys(("psnr_rgb", "ms_ssim", "psnr_log", "psnr_pu21"))
            if file.goal.psnr is not None:
                reached = file.goal.measure(file.data)
    return Encoded(file.data, _report(file, measured, started), _missed(file, reached))


@dataclass(frozen=True)
class _File:
    """A coded picture and what it was made from; `advice` says what to do about a PSNR that was not reached."""

    data: bytes
    pixels: np.ndarray
    coded: CodedField
    goal: Goal
    advice: str


def _encode(
    image: Image,
    config: EncodeConfig,
    progress: Optional[Progress],
    interrupt: Optional[Interrupt],
    measured: bool = False,
) -> _File:
    """The forward chain. Fully transparent pixels lose their hidden colour.

    Args:
        measured: whether the file will be measured.
    """
    config = families.complete(config)
    if config.strip:
        image = replace(image, exif=b"", xmp=b"")
    image = replace(image, pixels=finite(image.pixels, config.sanitize))
    exact, pixels = separate(image.pixels)
    signal = to_signal(pixels, image.depth, config.transfer)
    config = settled(config, signal)
    pack = _packer(image, signal, exact)

    def measure(data: bytes) -> float:
        return metrics.fidelity(image.pixels, decoder.decode(data, max_pixels=signal.pixels))

    goal = Goal.of(config, signal.pixels, pack, measure, bool(image.exif or image.xmp), 1 if signal.channels else FLAT)
    with _watcher(image, config, signal, exact) as watcher:
        after = _seconds_to_measure(image) if measured and progress is not None else 0.0
        # Where a goal is searched for, or fields are compared, other stages follow those that tell of themselves.
        one_stage = goal.is_quality and config.field == families.names()[0]
        hooks = Hooks(progress, interrupt, watcher, after if one_stage else math.nan)
        if not signal.channels:
            family = families.numbered(FLAT)
            coded = family.encode(signal, goal, config, hooks)
        elif config.field == families.AUTO:
            coded, family = best_of(signal, goal, config, hooks)
        else:
            family = families.named(config.field)
            coded = family.encode(signal, goal, config, hooks)
        data = pack(coded)
        if watcher is not None:
            watcher.finish(data)
    return _File(data, image.pixels, coded, goal, family.missed)


def _packer(image: Image, signal: Signal, exact: ExactParts) -> Callable[[CodedField], bytes]:
    """What makes a file of a field of the picture."""
    size = image.width, image.height, image.channels, image.depth
    picture = NifFile(*size, 0, b"", b"", image.icc, image.exif, image.xmp, signal.transfer)
    packer = Packer(replace(picture, constants=exact.constants, alpha_map=exact.packed_alpha()))
    return lambda coded: packer(coded.family, coded.description, coded.payload, coded.index)


def _watcher(
    image: Image, config: EncodeConfig, signal: Signal, exact: ExactParts
) -> "ContextManager[Optional[Watcher]]":
    if config.tensorboard is None:
        return contextlib.nullcontext()
    return Watcher(config.tensorboard, config.eval_every, image, signal.transfer, exact)


def _measured(file: _File, hooks: Hooks) -> Dict[str, Optional[float]]:
    """What the bytes decode to, against the picture."""
    height, width = file.pixels.shape[:2]
    unknown = {"psnr": math.nan, "bits_per_pixel": metrics.bits_per_pixel(len(file.data), width, height)}
    began = time.monotonic()
    hooks.report("measure", 0, 2, began, unknown)
    decoded = decoder.decode(file.data, max_pixels=height * width)
    hooks.report("measure", 1, 2, began, unknown)  # measuring takes about as long as decoding
    return metrics.measure(file.pixels, decoded)


def _seconds_to_measure(image: Image) -> float:
    """How long it will take to decode and measure a picture: twice what a part of it takes to be measured."""
    part = image.pixels[:SAMPLE_SIDE, :SAMPLE_SIDE]
    began = time.monotonic()
    metrics.measure(part, part[::-1])
    return 2 * (time.monotonic() - began) * image.width * image.height / (part.shape[0] * part.shape[1])


def _report(file: _File, measured: Dict[str, Optional[float]], started: float) -> Report:
    """Only the steps, their place and the time are not in the bytes."""
    info = decoder.inspect(file.data)
    return Report(
        bytes=info.bytes,
        width=info.width,
        height=info.height,
        bpp=info.bpp,
        seconds=time.monotonic() - started,
        steps=file.coded.steps,
        field=info.field,
        parts=info.parts,
        device=file.coded.placement,
        **measured,
    )


def _missed(file: _File, reached: Optional[float]) -> Optional[str]:
    """How close the file came where that is not what was asked for.

    Args:
        reached: the PSNR that the goal speaks of; None where nobody asked.
    """
    asked, size = file.goal.target_bytes, len(file.data)
    if asked is not None and size > asked:
        return f"{asked} bytes were asked for; the smallest file found has {size}"
    if file.goal.psnr is not None and reached is not None and reached < file.goal.psnr:
        return f"{file.goal.psnr} dB were asked for; the file reaches {reached:.2f}: {file.advice}"
    return None
