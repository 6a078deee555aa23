"""Small files that ask for much, and what fuzzing found, under hard limits of memory and time."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Dict, Iterator

import numpy as np
import pytest
from PIL import Image as PillowImage

from nifcodec import container, decoder
from nifcodec.container import NifFile
from nifcodec.entropy import varint, zstd
from nifcodec.entropy.range_coder import Encoder
from nifcodec.entropy.tables import largest, table
from nifcodec.entropy.tensors import encode_range
from nifcodec.errors import ImageError
from nifcodec.fields.mlp import description as mlp_spec
from nifcodec.fields.pyramid import priors as pyramid_priors
from nifcodec.fields.pyramid.description import PyramidDescription
from nifcodec.fields.pyramid.networks import layout
from nifcodec.fields.pyramid.weights import QuantizedWeights, typical_steps
from nifcodec.fields.wavelet import priors
from nifcodec.fields.wavelet.description import FAMILY_ID, WaveletDescription
from nifcodec.fields.wavelet.lattice import Lattice
from nifcodec.fields.wavelet.planes import plane_ids
from nifcodec.picture.image import from_array
from nifcodec.picture.read import read_image
from nifcodec.picture.transfer import Transfer
from nifcodec.picture.write import encode_picture

ROOT = Path(__file__).resolve().parents[1]
CORPUS = ROOT / "tests" / "corpus"
LIMITED = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux, for its limits")


def run_limited(paths: "list[Path]") -> None:
    environment = dict(os.environ, PYTHONPATH=str(ROOT), OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    command = [sys.executable, "-m", "tests.limits", *map(str, paths)]
    done = subprocess.run(command, cwd=str(ROOT), env=environment, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 0, done.stderr.decode()[-3000:]


def run_all(folder: Path, inputs: "Dict[str, bytes]") -> None:
    for name, data in inputs.items():
        (folder / name).write_bytes(data)
    run_limited([folder / name for name in inputs])


@pytest.mark.usefixtures("backend")
@LIMITED
def test_the_corpus() -> None:
    paths = sorted(CORPUS.glob("*.fuzz"))
    assert paths
    run_limited(paths)


@LIMITED
def test_the_limits_are_limits(tmp_path: Path) -> None:
    """What takes more is found: a file that is no bomb, and is large."""
    pixels = io.BytesIO()
    PillowImage.effect_noise((4000, 4000), 90).save(pixels, "PNG", compress_level=1)
    with pytest.raises(AssertionError, match="not within"):
        run_all(tmp_path, {"large.png": pixels.getvalue()})


def zeros(count: int, tensors: int) -> bytes:
    """A payload that holds as many zeros in as few bytes as the coder alone would take."""
    encoder = Encoder()
    encoder.put(np.full(count, largest(0)), table(0))
    return bytes([0]) + bytes(tensors) + encoder.finish()


def network(width: int, layers: int, payload: bytes, family: int = 2) -> bytes:
    description = struct.pack("<HBB", width, layers, 0x12 if family == 2 else 0x10)
    description += b"\x00\x1e" if family == 2 else b"\x08\x00\x02"
    return container.pack(NifFile(64, 64, 4, 8, family, description, payload))


def idle_network(side: int, width: int, layers: int, light: bool = False) -> bytes:
    """A whole file: all weights are zero."""
    spec = mlp_spec.MlpDescription("siren", 4, width, layers, "none", omega=30.0)
    shapes = spec.tensor_shapes()
    payload = zeros(spec.parameter_count() + len(shapes), len(shapes) + 1)
    curve = Transfer("pq", -1e4, 1e4) if light else None
    return container.pack(NifFile(side, side, 4, 32 if light else 8, 2, mlp_spec.pack(spec), payload, transfer=curve))


def lattice(width: int, height: int, flags: int, stream: bytes, exponent: int = 0) -> bytes:
    planes = Lattice(width, height, plane_ids(4))
    low = encode_range([np.zeros(planes.low_shape()[1:], np.int32)] * 4)
    bands = bytes([flags]) * ((planes.levels * len(planes.bands) + 7) // 8) + bytes(6) + stream
    payload = varint.write_varint(len(low)) + low + bands
    prior = priors.named()
    mixture = ((1,) * prior.restoration.corrections,) * 2
    if exponent:
        payload = varint.write_varint(len(payload)) + b"\x0d" * 2 + payload
    description = WaveletDescription(200, prior.hash, mixture, exponent).pack()
    return container.pack(NifFile(width, height, 4, 8, FAMILY_ID, description, payload))


def pyramid(width: int, height: int, stream: bytes, exponent: int = 0) -> bytes:
    """All weights are those of the start."""
    tensors = layout(4)
    zeros = np.zeros(tensors.count, np.int32)
    weights = QuantizedWeights(tensors, zeros, typical_steps(tensors), zeros).pack()
    payload = varint.write_varint(len(weights)) + varint.write_varint(len(stream)) + weights + stream
    description = PyramidDescription(pyramid_priors.named().hash, 0, exponent).pack()
    return container.pack(NifFile(width, height, 4, 8, 4, description, payload))


def metadata(size: int, content: bytes) -> bytes:
    body = b"c" + varint.write_varint(len(content) + 1 + len(varint.write_varint(size)))
    body += b"\1" + varint.write_varint(size) + content
    start = network(8, 1, b"")
    end = start.index(b"W", 10)
    return start[:end] + body + zlib.crc32(body).to_bytes(4, "little") + start[end:]


def chunks(count: int) -> bytes:
    start = network(8, 1, b"")
    end = start.index(b"W", 10)
    return start[:end] + (b"z\0" + zlib.crc32(b"z\0").to_bytes(4, "little")) * count + start[end:]


@pytest.mark.usefixtures("backend")
@LIMITED
def test_fields_of_a_hundred_bytes(tmp_path: Path) -> None:
    inputs = {
        "widest": idle_network(64, 2048, 1),
        "deepest": idle_network(64, 20, 29),
        "most": network(2048, 32, b"\0" * 60),
        "encoded": network(100, 2, b"\0" * 60, family=1),
        "random": network(100, 2, bytes(range(60)), family=1),
        "zstandard": network(100, 2, b"\1" + varint.write_varint(15000) + zstd.compress(bytes(15000)), family=1),
        "profile-cut": metadata(2**24, zstd.compress(bytes(2**24))[:40]),
        "profile": metadata(2**20, zstd.compress(bytes(2**20))),
        "chunks": chunks(8),
        "light": idle_network(64, 8, 4, light=True),
    }
    for width, height in ((64, 64), (2**16, 1), (1, 2**16), (2048, 1024)):
        for name, flags, stream in (("flat", 0, b""), ("zero", 255, b"\0" * 9), ("full", 255, b"\xff" * 9)):
            inputs[f"{name}-{width}x{height}"] = lattice(width, height, flags, stream)
        for name, stream in (("nothing", b""), ("zero", b"\0" * 5), ("full", b"\xff" * 5)):
            inputs[f"pyramid-{name}-{width}x{height}"] = pyramid(width, height, stream)
    for exponent in (7, 11):
        inputs[f"tiles-{exponent}"] = lattice(2**14, 2**15, 255, b"\x55" * 9, exponent)
        inputs[f"pyramid-tiles-{exponent}"] = pyramid(2**14, 2**15, b"\x55" * 5, exponent)
    for name in ("widest", "deepest", "light", "flat-64x64"):  # nothing is wrong with these
        assert decoder.decode(inputs[name], size=(1, 1)).size == 4
    sizes = {name: len(data) for name, data in inputs.items()}
    # A pyramid names the tables of 57 tensors.
    assert all(size <= (120 if name.startswith("pyramid") else 100) for name, size in sizes.items()), sizes
    run_all(tmp_path, {f"{name}.nif": data for name, data in inputs.items()})


def png(width: int, height: int, depth: int, colour: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def tiff(width: int, height: int, bits: int, samples: int, kind: int, compression: int, strip: int) -> bytes:
    sizes = struct.pack(f"<{samples}H", *[bits] * samples) if samples > 1 else b""
    entries = [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, samples, bits if samples == 1 else 8 + 2 + 9 * 12 + 4),
        (259, 3, 1, compression),
        (262, 3, 1, 2 if samples == 3 else 1),
        (273, 4, 1, 8),
        (277, 3, 1, samples),
        (279, 4, 1, strip),
        (339, 3, 1, kind),
    ]
    body = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + body + bytes(4) + sizes


def bombs() -> "Dict[str, bytes]":
    """Pictures by name: in a few bytes they claim to be large."""
    side = 11000
    found = {f"png{depth}-{colour}": png(side, side, depth, colour) for depth in (8, 16) for colour in (0, 2, 6)}
    found["png1"] = png(13000, 13000, 1, 0)
    for compression in (1, 5, 8):
        for strip in (0, 4):
            found[f"tiff16-{compression}-{strip}"] = tiff(side, side, 16, 3, 1, compression, strip)
            found[f"tiff32-{compression}-{strip}"] = tiff(side, side, 32, 3, 3, compression, strip)
            found[f"grey32-{compression}-{strip}"] = tiff(side, side, 32, 1, 3, compression, strip)
            # What the ratio alone lets through.
            found[f"tiff8-{compression}-{strip}"] = tiff(2000, 2000, 8, 3, 1, compression, strip)
    found["radiance"] = b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 11000 +X 11000\n" + b"\2\2\0\0" * 4
    found["radiance-wide"] = b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 1 +X 134217728\n" + b"\1" * 12
    found["bmp"] = b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, 13000, 13000, 1, 24, *[0] * 6)
    found["pgm"] = b"P5 13000 13000 65535\n"
    found["gif"] = b"GIF89a" + struct.pack("<HHBBB", 13000, 13000, 128, 0, 0) + bytes(6) + b","
    found["gif"] += struct.pack("<HHHHB", 0, 0, 13000, 13000, 0) + b"\2\1\x44\0;"
    return found


@LIMITED
def test_pictures_that_claim_to_be_large(tmp_path: Path) -> None:
    run_all(tmp_path, bombs())


@pytest.mark.parametrize("name", ["png8-2", "tiff16-8-4", "radiance", "bmp", "gif"])
def test_a_bomb_is_called_one(name: str) -> None:
    if name == "radiance":
        pytest.importorskip("imagecodecs")
    with pytest.raises(ImageError, match="bytes that stand for"):
        read_image(bombs()[name])


def test_one_colour_all_over_is_no_bomb() -> None:
    for kind, options in (("PNG", {}), ("TIFF", {"compression": "group4"}), ("WEBP", {"lossless": True})):
        written = io.BytesIO()
        PillowImage.new("1" if kind == "TIFF" else "RGB", (2480, 3508)).save(written, kind, **options)
        assert read_image(written.getvalue()).pixels.shape[:2] == (3508, 2480)


def damaged(data: bytes) -> "Iterator[bytes]":
    """A file cut in many places, and with bytes changed in others."""
    random = np.random.default_rng(5)
    for part in np.linspace(0, len(data) - 1, 40).astype(int):
        yield data[:part]
    for _ in range(160):
        changed = bytearray(data)
        for place in random.integers(0, len(data), 1 + random.integers(0, 4)):
            changed[place] = random.integers(0, 256)
        yield bytes(changed)


@pytest.mark.parametrize("kind", ["jpeg", "png", "png16", "gif", "webp", "tiff", "tiff16", "tiff32", "exr", "hdr"])
@pytest.mark.filterwarnings("ignore")
def test_damaged_pictures(kind: str) -> None:
    """They are read as some picture, or refused with a reason; nothing else comes out."""
    pixels = np.random.default_rng(2).integers(0, 256, (20, 33, 3), dtype=np.uint8)
    if kind.endswith("16"):
        pixels = pixels.astype(np.uint16) * 257
    if kind in ("tiff32", "exr", "hdr"):
        pixels = pixels.astype(np.float32) / 255
    if kind.endswith(("16", "32")) or kind in ("exr", "hdr"):
        for module in ("imagecodecs", "tifffile", "OpenEXR"):
            pytest.importorskip(module)
    name = kind.rstrip("1632").upper()
    if name == "GIF":
        written = io.BytesIO()
        PillowImage.fromarray(pixels).save(written, "GIF")
        data = written.getvalue()
    else:
        data = encode_picture(from_array(pixels), name)
    refused = 0
    for part in damaged(data):
        try:
            assert read_image(part).pixels.size
        except ImageError as error:
            assert str(error)
            refused += 1
    assert refused > 30


def test_a_program_is_not_run() -> None:
    program = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"
    with pytest.raises(ImageError, match="program"):
        read_image(program)
