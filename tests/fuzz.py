"""Any bytes into the readers: only a NifError may come out. `make fuzz` runs this under atheris (libFuzzer).

The first byte of an input chooses the reader and the second a layout; the rest is what is read. `tests/corpus` holds
inputs that reach most of the code, and the place of any finding; `test_limits.py` runs them with the tests.
"""

from __future__ import annotations

import contextlib
import sys
import warnings
import zlib
from functools import lru_cache
from pathlib import Path
from typing import Callable, Dict, List, Sequence, Tuple

import numpy as np

HERE = Path(__file__).resolve().parent
GOLDEN, CORPUS = HERE / "golden", HERE / "corpus"
sys.path.insert(0, str(HERE))

if __name__ == "__main__":
    try:
        import atheris
    except ImportError:
        sys.exit("atheris is missing: pip install '.[fuzz]', on Linux with Python 3.11 or newer")

    # Everything of the package, before anything else imports it.
    instrumented = atheris.instrument_imports(include=["nifcodec"])
else:
    instrumented = contextlib.nullcontext()

with instrumented:
    import fuzz_pyramid

    import nifcodec
    from nifcodec import container, decoder
    from nifcodec.container import NifFile
    from nifcodec.entropy import varint
    from nifcodec.entropy.range_coder import TOTAL
    from nifcodec.entropy.tensors import decode_tensors, encode_tensors
    from nifcodec.errors import CorruptFileError, NifError
    from nifcodec.fields.families import configure
    from nifcodec.fields.mlp import description as mlp_spec
    from nifcodec.fields.mlp.decode import MlpRender
    from nifcodec.fields.parts import check_index, unpack_parts
    from nifcodec.fields.wavelet import encode, priors
    from nifcodec.fields.wavelet.coding.binarization import TABLES
    from nifcodec.fields.wavelet.coding.bitstream import decode_lattice
    from nifcodec.fields.wavelet.coding.context_model import ContextModel
    from nifcodec.fields.wavelet.coding.wavefront import Conditions
    from nifcodec.fields.wavelet.decode import WaveletRender
    from nifcodec.fields.wavelet.description import FAMILY_ID, WaveletDescription
    from nifcodec.fields.wavelet.lattice import Lattice
    from nifcodec.fields.wavelet.planes import plane_ids
    from nifcodec.fields.wavelet.priors import prior_file
    from nifcodec.fields.wavelet.restoration import BLOCK_CHANNELS
    from nifcodec.fields.wavelet.tiling import TILE_LEVELS
    from nifcodec.picture.transfer import Transfer

# Pixels stored and rendered: an input is to be looked at in milliseconds.
MAX_PIXELS = 2**12
SHAPES = ([(2, 8), (8,), (8, 3), (3,)], [(4000,)], [(0,)], [], [(1,)] * 9, [(300, 300)])
FAST = configure(quality=50, effort=1)
TILED = configure(quality=50, effort=1, largest_whole=0, tile_exponent=7)
STEP_INDEX = encode.quality_index(50)  # of payloads without their file
SIZES = ((1, 1), (9, 8), (16, 16), (33, 20), (1, 40), (64, 1), (37, 23), (24, 40))
TILED_SIZES = ((150, 12), (9, 140), (129, 129), (130, 1))
# What an index is held against: parts, and how many levels each has.
PARTS = (b"root" * 40, b"", bytes(200), b"last")
PART_LEVELS = (2, 5, 5, 0)


def repaired(data: bytes) -> bytes:
    """The same chunks with right checksums, as far as their lengths can be followed; those of parts in an index too."""
    out, offset = bytearray(data), 10
    chunks: Dict[int, Tuple[int, int, int]] = {}
    while offset + 2 <= len(out):
        try:
            length, start = varint.read_varint(bytes(out), offset + 1, "length")
        except CorruptFileError:
            break
        end = start + length
        if end + 4 > len(out):
            break
        chunks[out[offset]] = offset, start, end
        out[end : end + 4] = zlib.crc32(bytes(out[offset:end])).to_bytes(4, "little")
        offset = end + 4
    with contextlib.suppress(NifError):
        file = container.unpack(bytes(out)).of_field
        if file.index and file.family in PARTS_OF:
            offset, start, end = chunks[ord(container.INDEX)]
            out[start:end] = repaired_index(file.index, *PARTS_OF[file.family](file))
            out[end : end + 4] = zlib.crc32(bytes(out[offset:end])).to_bytes(4, "little")
    return bytes(out)


def parts_of(file: NifFile) -> Tuple[List[bytes], List[int]]:
    """The parts of a wavelet field's payload, and how many levels each has."""
    field = WaveletRender(file)
    if field.tiling is None:
        return [file.payload], [field.lattice.levels]
    levels = [field.tiling.root.levels] + [TILE_LEVELS] * field.tiling.count
    return unpack_parts(file.payload, len(levels)), levels


PARTS_OF = {FAMILY_ID: parts_of, fuzz_pyramid.FAMILY_ID: fuzz_pyramid.parts_of}


def repaired_index(index: bytes, parts: Sequence[bytes], levels: Sequence[int]) -> bytes:
    """The same index with the checksums of these parts, as far as it can be followed."""
    out, offset = bytearray(index), 0
    with contextlib.suppress(CorruptFileError):
        for part, count in zip(parts, levels):
            _, offset = varint.read_varint(index, offset, "size")
            if offset + 4 > len(index):
                break
            out[offset : offset + 4] = zlib.crc32(part).to_bytes(4, "little")
            offset += 4
            for _ in range(count):
                _, offset = varint.read_varint(index, offset, "end")
    return bytes(out)


def read_file(layout: int, data: bytes) -> None:
    """Container, descriptions, and where the picture is small the field and the renderer."""
    with contextlib.suppress(CorruptFileError):
        container.read_header(data)
    info = decoder.inspect(data)
    assert sum(info.parts.values()) == len(data)
    if info.width * info.height <= MAX_PIXELS and info.macs_per_pixel <= MAX_PIXELS:
        scale = (None, 0.3, 1.7)[layout % 3]
        image = decoder.decode_image(data, scale, max_pixels=4 * MAX_PIXELS)
        assert image.pixels.shape[2] == info.channels
        assert scale or image.pixels.shape[:2] == (info.height, info.width)
        assert np.isfinite(image.pixels).all()


def read_repaired_file(layout: int, data: bytes) -> None:
    """As `read_file`, past the checksums."""
    read_file(layout, repaired(data))


def read_tensors(layout: int, data: bytes) -> None:
    """Tables, range coder, escapes, zstandard."""
    shapes = SHAPES[layout % len(SHAPES)]
    assert [tensor.shape for tensor in decode_tensors(data, shapes)] == shapes


def read_lattice(layout: int, data: bytes) -> None:
    """The wavelet field's coefficients under its context model."""
    (width, height), channels = SIZES[layout % 8], 1 + layout // 8 % 4
    lattice = Lattice(width, height, plane_ids(channels))
    finest = layout // 32 % (lattice.levels + 1)
    step = WaveletDescription(STEP_INDEX, b"").step_feature
    plane, _ = decode_lattice(data, lattice, Conditions(priors.named().context, step), finest)
    assert plane.shape == (channels, *lattice.sizes[finest])


def read_tiles(layout: int, data: bytes) -> None:
    """Tiles, sampled at places that touch several of them."""
    width, height = TILED_SIZES[layout % 4]
    channels, reduction = 1 + layout // 4 % 4, layout // 16 % 3
    prior = priors.named()
    mixture = ((1,) * prior.restoration.corrections,) * 2
    description = WaveletDescription(STEP_INDEX, prior.hash, mixture, 7).pack()
    file = NifFile(width, height, channels, 8, FAMILY_ID, description, data)
    field = WaveletRender(file).samples(reduction)
    colours = field(np.array([0.01, 0.86, 0.99]), np.array([0.02, 0.9]))
    assert colours.shape == (2, 3, channels)


def read_network(layout: int, data: bytes) -> None:
    """A coordinate network: its description, its weights, and its renderer, also far outside of the picture."""
    family, channels, length = 1 + layout % 2, 1 + layout // 2 % 4, 4 + layout // 8 % 8
    file = NifFile(64, 48, channels, 8, family, data[:length], data[length:])
    if mlp_spec.unpack(family, channels, file.description).parameter_count() <= MAX_PIXELS:
        values = MlpRender(file).samples()(np.array([0.1, 0.5, 7.0]), np.array([0.3, -2.0]))
        assert values.shape == (2, 3, channels)
        assert np.isfinite(values).all()


@lru_cache(maxsize=1)
def small_prior() -> bytes:
    """The file of a prior that is as small as one can be."""
    networks = {
        key: {
            "w1": np.ones((2 * prior_file.signed_inputs(key) + 3, 1)),
            "b1": np.zeros(1),
            "w2": np.ones((1, 1)),
            "b2": np.zeros(1),
            "w3": np.ones((1, 2)),
            "b3": np.zeros(2),
            "skip": np.ones(prior_file.signed_inputs(key)),
        }
        for key in prior_file.KEYS
    }
    tables = np.ones((TABLES, prior_file.SYMBOLS), np.int64)
    tables[:, 0] = TOTAL - prior_file.SYMBOLS + 1
    shapes = [(BLOCK_CHANNELS, 1), (1, BLOCK_CHANNELS)]
    restoration = prior_file.QuantizedFilter.of(
        [np.ones((3, 3, *shape), np.float32) for shape in shapes],
        [np.zeros(shape[1], np.float32) for shape in shapes],
        [np.zeros((2, 1), np.float32)],
    )
    return prior_file.PriorFile(networks, tables, restoration).pack()


def read_prior(layout: int, data: bytes) -> None:
    """The file of a prior: any bytes, or a small one in which each four bytes of the input change one."""
    if layout % 2:
        changed = bytearray(small_prior())
        for offset in range(0, len(data) - 3, 4):
            changed[int.from_bytes(data[offset : offset + 3], "little") % len(changed)] = data[offset + 3]
        data = bytes(changed[: len(changed) - layout // 2])
    file = prior_file.unpack(data)
    assert file.pack() == data


def read_index(layout: int, data: bytes) -> None:
    """The index of parts, as it is or past its checksums."""
    index = repaired_index(data, PARTS, PART_LEVELS) if layout % 2 else data
    check_index(index, PARTS, PART_LEVELS)


def read_by_both(layout: int, data: bytes) -> None:
    """A stream by the native library and by NumPy: the same integers, or the same class of error."""
    model = priors.named().context
    by_numpy = ContextModel(model.networks, model.frequencies, native=False)
    (width, height), channels = SIZES[layout % 8], 1 + layout // 8 % 4
    lattice = Lattice(width, height, plane_ids(channels))
    dependent, finest = bool(layout // 32 % 2), layout // 64 % (lattice.levels + 1)
    step = WaveletDescription(STEP_INDEX, b"").step_feature
    found = []
    for each in (model, by_numpy):
        try:
            plane, levels = decode_lattice(data, lattice, Conditions(each, step, dependent), finest)
            integers = [values.tobytes() for bands in levels for values in bands.values()]
            found.append((plane.tobytes(), [list(bands) for bands in levels], integers))
        except CorruptFileError as error:
            found.append(type(error))
    assert found[0] == found[1]


READERS: List[Callable[[int, bytes], None]] = [
    read_file,
    read_repaired_file,
    read_tensors,
    read_lattice,
    read_tiles,
    read_network,
    read_prior,
    read_index,
    read_by_both,
    *fuzz_pyramid.READERS,
]


def one_input(data: bytes) -> None:
    """What libFuzzer calls. Raises anything but a NifError where a reader does, warnings included."""
    if len(data) < 2:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with contextlib.suppress(NifError):
            READERS[data[0] % len(READERS)](data[1], data[2:])


def seeds() -> Dict[str, bytes]:
    """Inputs by name: the golden files, files and payloads of every kind, and damaged ones."""
    random = np.random.default_rng(1)
    pixels = random.integers(0, 256, (20, 33, 4), dtype=np.uint8)
    found: Dict[str, bytes] = {}
    files = {path.stem: path.read_bytes() for path in sorted(GOLDEN.glob("*.nif"))}
    for channels in range(1, 5):
        files[f"lattice{channels}"] = nifcodec.encode(pixels[..., :channels], FAST)
    for family, description in (("fourier", b"\x08\x00\x02\x10\x03\x00\x02"), ("siren", b"\x08\x00\x02\x12\x00\x1e")):
        number = mlp_spec.FAMILY_IDS[family]
        spec = mlp_spec.unpack(number, 3, description)
        shapes = [(len(spec.tensor_shapes()),), *spec.tensor_shapes()]
        tensors = [random.integers(-9, 10, shape).astype(np.int32) for shape in shapes]
        tensors[0] = np.array([40] + [0] * (len(tensors[0]) - 1), np.int32)
        payload = encode_tensors(tensors)
        layout = number - 1 + 2 * 2 + 8 * (len(description) - 4)
        found[f"network-{family}"] = bytes([READERS.index(read_network), layout]) + description + payload
        files[family] = container.pack(
            NifFile(23, 9, 3, 8, number, description, payload, b"ICC" * 9, b"Exif" * 9, b"<x/>" * 99)
        )
        light = Transfer("log", -1.0, 40.0, 3.0)
        files[f"light-{family}"] = container.pack(NifFile(23, 9, 3, 32, number, description, payload, transfer=light))
    for name, data in files.items():
        for reader in (read_file, read_repaired_file):
            found[f"{reader.__name__}-{name}"] = bytes([READERS.index(reader), 0]) + data
        found[f"cut-{name}"] = bytes([READERS.index(read_repaired_file), 1]) + data[: len(data) * 2 // 3]
    for index, (width, height) in enumerate(SIZES):
        for channels in (1, 3, 4):
            small = np.resize(pixels, (height, width, 4))[..., :channels]
            payload = container.unpack(nifcodec.encode(small, FAST)).payload
            layout = index + 8 * (channels - 1)
            for name, reader in (("payload", read_lattice), ("both", read_by_both)):
                found[f"{name}-{width}x{height}x{channels}"] = bytes([READERS.index(reader), layout]) + payload
    for layout, (width, height) in enumerate(TILED_SIZES):
        flat = np.full((height, width, 3), 90 + layout, np.uint8)
        flat[::37, ::29] = 200
        payload = container.unpack(nifcodec.encode(flat, TILED)).payload
        found[f"tiles-{width}x{height}"] = bytes([READERS.index(read_tiles), layout + 4 * 2]) + payload
    for layout, shapes in enumerate(SHAPES):
        tensors = [random.integers(-9, 10, shape).astype(np.int32) for shape in shapes]
        found[f"tensors-{layout}"] = bytes([READERS.index(read_tensors), layout]) + encode_tensors(tensors)
    found["tensors-zstandard"] = bytes([2, 1]) + encode_tensors([np.tile(np.arange(200, dtype=np.int32), 20)])
    found["prior-cut"] = bytes([READERS.index(read_prior), 0]) + small_prior()[:30]
    for name, changes in (
        ("whole", b""),
        ("other-weights", b"\x18\0\0\x05\x28\0\0\x81"),
        ("other-version", b"\x08\0\0\2"),
    ):
        found[f"prior-{name}"] = bytes([READERS.index(read_prior), 1]) + changes
    found.update({name: bytes([READERS.index(reader)]) + data for reader, name, data in fuzz_pyramid.seeds()})
    index = b"\xa0\1crc0\x40\xa0\1" + b"\0crc1" + bytes(5) + b"\xc8\1crc2\1\2\3\4\xc8\1" + b"\4crc3"
    for layout in range(2):
        found[f"index-{layout}"] = bytes([READERS.index(read_index), layout]) + index
    return found


def main() -> None:
    """Fuzzes from the seeds in the folder that is the first argument; libFuzzer's options follow."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in seeds().items():
        (folder / name).write_bytes(data)
    atheris.Setup([sys.argv[0], str(folder), str(CORPUS), *sys.argv[2:]], one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
