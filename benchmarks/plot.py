"""Rate-distortion plots as PNG and SVG."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, Sequence

import numpy as np

from benchmarks.rows import Curve
from nifcodec.errors import MissingDependencyError
from nifcodec.files import write_bytes

# Okabe and Ito's palette, told apart by colour-blind readers too, and a grey.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000", "#999999")
MARKERS = "osD^vPXph"
DASHES = ("--", ":", "-.")


def draw(measured: Sequence[Curve], peers: Sequence[Curve], title: str, path: Path) -> Sequence[Path]:
    """PSNR and MS-SSIM (in dB) over bits per pixel; measured curves solid, peers dashed.

    Args:
        path: without ending; the files are `path`.png and `path`.svg.

    Returns:
        The files written.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingDependencyError("plots need matplotlib: pip install -e '.[bench]' in the checkout") from None
    with matplotlib.rc_context({"svg.hashsalt": "nifcodec", "svg.fonttype": "none", "font.size": 10}):
        figure = Figure(figsize=(12, 5.2), layout="constrained")
        axes = figure.subplots(1, 2)
        for panel, quality, label in zip(axes, ("psnr_rgb", "msssim_db"), ("PSNR, RGB (dB)", "MS-SSIM (dB)")):
            _panel(panel, measured, peers, quality, label)
        figure.suptitle(title)
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside right center", frameon=False)
        written = [path.with_name(path.name + ending) for ending in (".png", ".svg")]
        for file in written:
            buffer = io.BytesIO()
            svg = file.suffix == ".svg"
            figure.savefig(buffer, format=file.suffix[1:], dpi=150, metadata={"Date": None} if svg else None)
            write_bytes(file, buffer.getvalue(), force=True)
    return written


def _panel(panel: Any, measured: Sequence[Curve], peers: Sequence[Curve], quality: str, label: str) -> None:
    from matplotlib.ticker import LogLocator

    for index, curve in enumerate([*measured, *peers]):
        peer = index >= len(measured)
        values = getattr(curve, quality)
        finite = np.isfinite(values)
        panel.plot(
            curve.bpp[finite],
            values[finite],
            color=COLOURS[index % len(COLOURS)],
            marker=MARKERS[index % len(MARKERS)] if not peer else None,
            markersize=4,
            linestyle=DASHES[index // len(COLOURS) % len(DASHES)] if peer else "-",
            linewidth=1.2 if peer else 1.8,
            label=curve.codec,
        )
    panel.set_xscale("log")
    panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    panel.xaxis.set_major_formatter("{x:g}")
    panel.xaxis.set_minor_formatter("")
    panel.set_xlabel("bits per pixel of the file")
    panel.set_ylabel(label)
    panel.grid(True, which="both", alpha=0.25)
