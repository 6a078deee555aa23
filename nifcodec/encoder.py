"""The forward chain: picture -> field, trained -> integers -> bytes -> `.nif`, measured as the file it became.

`TRAINERS` is the one place where the kinds of field meet; TensorFlow is imported by a trainer that needs it.
"""

from __future__ import annotations

import contextlib
import time
import warnings
from dataclasses import dataclass, replace
from typing import Any, Callable, ContextManager, Dict, Mapping, Optional, Tuple, Union

import numpy as np

from nifcodec import container, decoder, metrics, transfer
from nifcodec.colour import colour_count, fill_transparent
from nifcodec.config import EncodeConfig
from nifcodec.errors import ConfigError
from nifcodec.fields.spec import FAMILY_IDS
from nifcodec.hdr import finite
from nifcodec.image import Image, from_array
from nifcodec.mlp_encoder import train_mlp
from nifcodec.task import Task, Trained
from nifcodec.watching import Watcher
from nifcodec.wavelet_encoder import train_wavelet

Progress = Callable[[Any], None]
Interrupt = Callable[[], bool]


@dataclass(frozen=True)
class Report:
    """What the bytes that were written decode to.

    Attributes:
        bytes: of the whole file; `parts` says where they are ("header", "weights", "metadata") and sums to it.
        bpp: 8 x bytes / pixels.
        psnr_rgb: dB, RGB of the decoded file, MSE over the three channels; None for a float picture.
        ms_ssim: multi-scale structural similarity; None for a float picture.
        seconds: from the picture to the measured file.
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
    """The file and what is to be said of it."""

    data: bytes
    report: Report


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
        progress: called now and then with a `progress.Progress`.
        interrupt: polled now and then; True ends the training with the best state so far.

    Raises:
        ImageError, ConfigError, MissingDependencyError, TrainingError, DeviceError, WorkerLostError,
        InterruptedEncodeError; OutputError where the folder of `config.tensorboard` cannot be made.
    """
    return encode_image(
        picture if isinstance(picture, Image) else from_array(picture), config, progress, interrupt
    ).data


def encode_image(
    image: Image,
    config: EncodeConfig = EncodeConfig(),  # noqa: B008  frozen
    progress: Optional[Progress] = None,
    interrupt: Optional[Interrupt] = None,
) -> Encoded:
    """`encode`, with a report of the file. Fully transparent pixels lose their hidden colour."""
    started = time.monotonic()
    if config.strip:
        image = replace(image, exif=b"", xmp=b"")
    image = replace(image, pixels=finite(image.pixels, config.sanitize))
    wanted, curve = _wanted(image, config)
    with _watcher(image, config, curve) as watcher:
        task = Task(image, wanted, config, progress, interrupt, curve, watcher)
        trained = TRAINERS[config.field](task)
        data = task.pack(trained)
        if watcher is not None:
            watcher.finish(data)
        report = _report(image, config, trained, data, started)
    _warn_of_a_missed_target(config, report)
    return Encoded(data, report)


def _watcher(
    image: Image, config: EncodeConfig, curve: Optional[transfer.Transfer]
) -> "ContextManager[Optional[Watcher]]":
    if config.tensorboard is None:
        return contextlib.nullcontext()
    return Watcher(config.tensorboard, config.eval_every, image, curve)


def _report(image: Image, config: EncodeConfig, trained: Trained, data: bytes, started: float) -> Report:
    decoded = decoder.decode(data, max_pixels=image.width * image.height)
    return Report(
        bytes=len(data),
        width=image.width,
        height=image.height,
        bpp=metrics.bits_per_pixel(len(data), image.width, image.height),
        seconds=time.monotonic() - started,
        steps=trained.steps,
        field=config.field,
        parts=container.part_sizes(data),
        device=trained.placement,
        **metrics.measure(image.pixels, decoded),
    )


def _wanted(image: Image, config: EncodeConfig) -> Tuple[np.ndarray, Optional[transfer.Transfer]]:
    """What a field is trained on, integers or float32 (H, W, C) of 0..1, and the transfer that made it from light."""
    pixels = fill_transparent(image.pixels)
    if pixels.dtype.kind != "f":
        if config.transfer != "auto":
            raise ConfigError(f"the picture has {image.depth} bits a channel: a transfer is for float pictures")
        return pixels, None
    colours = colour_count(pixels)
    curve = transfer.choose(config.transfer, pixels[..., :colours])
    return np.concatenate([curve.to_codes(pixels[..., :colours]), pixels[..., colours:]], axis=2), curve


def _warn_of_a_missed_target(config: EncodeConfig, report: Report) -> None:
    """Says how close the file came where that is not what was asked for."""
    asked = config.target_size if config.bpp is None else int(config.bpp * report.width * report.height / 8)
    if asked is not None and report.bytes > asked:
        warnings.warn(f"{asked} bytes were asked for; the smallest file found has {report.bytes}", stacklevel=3)
    reached = report.psnr_log if report.psnr_rgb is None else report.psnr_rgb
    if config.psnr is not None and reached is not None and reached < config.psnr:
        # Every effort of the wavelet field ends at its finest step.
        advice = "this field has no finer step" if config.field == "wavelet" else "try a higher effort"
        warnings.warn(f"{config.psnr} dB were asked for; the file reaches {reached:.2f}: {advice}", stacklevel=3)


TRAINERS: Mapping[str, Callable[[Task], Trained]] = {
    **{name: train_mlp for name in FAMILY_IDS},
    "wavelet": train_wavelet,
}
