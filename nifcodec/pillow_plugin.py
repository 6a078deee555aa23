"""`.nif` in Pillow: after `register()`, `Image.open` and `Image.save` know it, and with them whatever builds on Pillow.

Opening reads the header. The pixels are decoded when they are needed first, and after `draft` or `thumbnail` only as
far as their size needs. `load(scale=2)` decodes them above the native size.
"""

from __future__ import annotations

import warnings
from typing import IO, Any, Dict, Optional, Tuple, Union

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageFile, UnidentifiedImageError

from nifcodec import container, decoder, encoder
from nifcodec.chunks import SIGNATURE
from nifcodec.container import FLOAT_DEPTH, NifFile
from nifcodec.errors import ConfigError, NifError, TruncatedError
from nifcodec.fields import families
from nifcodec.picture.colour import to_eight_bits, tone_map
from nifcodec.picture.read import from_pillow
from nifcodec.picture.window import DEFAULT_MAX_PIXELS, choose_window

FORMAT, ENDING, MIME = "NIF", ".nif", "image/x-nif"
MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
# Of more than 8 bits, Pillow has modes for grey only.
DEEP_GREY_MODES = {16: "I;16", FLOAT_DEPTH: "F"}
# Options of `save` that are those of an encode; others are ignored, as by Pillow's own formats.
OPTIONS = (
    *("quality", "bpp", "target_size", "psnr", "effort", "seed", "steps"),
    *("field", "strip", "transfer", "sanitize", "threads"),
)
METADATA = {"icc_profile": "icc", "exif": "exif", "xmp": "xmp"}  # name in Pillow -> name in NifFile
HEADER_BYTES = 4096


def register() -> None:
    """Makes Pillow open and save `.nif` files in this process; a second call changes nothing."""
    if PillowImage.OPEN.get(FORMAT, (None,))[0] is NifImageFile:
        return
    PillowImage.register_open(FORMAT, NifImageFile, _accept)
    PillowImage.register_save(FORMAT, _save)
    PillowImage.register_save_all(FORMAT, _save_all)
    PillowImage.register_extension(FORMAT, ENDING)
    PillowImage.register_mime(FORMAT, MIME)


class NifImageFile(ImageFile.ImageFile):
    """A `.nif` that Pillow has open. `info` has "icc_profile", "exif" and "xmp" where the file has them.

    Of 16 bits a channel grey is kept (mode "I;16"), colour reduced to 8; of linear light grey is kept (mode "F"),
    colour tone-mapped with a UserWarning. `nifcodec.decode` gives every value.

    Raises UnidentifiedImageError for a file whose header is damaged, OSError for one whose pixels are.
    """

    format = FORMAT
    format_description = "neural image field"
    # Looser than Pillow's types, which its versions do not share.
    fp: Any
    tile: Any

    def _open(self) -> None:
        try:
            header = _read_header(self.fp)
        except NifError as error:
            raise UnidentifiedImageError(f"{self._name()}: {error}") from error
        self._stored_size = self._size = (header.width, header.height)
        deep_grey = DEEP_GREY_MODES.get(header.depth) if header.channels == 1 else None
        # A property since Pillow 10.1.
        setattr(self, "_mode" if hasattr(PillowImage.Image, "mode") else "mode", deep_grey or MODES[header.channels])
        self.info.update({name: getattr(header, ours) for name, ours in METADATA.items() if getattr(header, ours)})
        self._halvings = 0
        # Pillow takes a picture without tiles for loaded; this one is made by `load`, not by a decoder of Pillow's.
        self.tile = [("nif", (0, 0, *self._size), 0, ())]

    def draft(
        self, mode: Optional[str], size: Optional[Tuple[float, float]]
    ) -> Optional[Tuple[str, Tuple[int, int, float, float]]]:
        """Halves the picture as often as it stays at least as large as `size`; to be called before it is loaded.

        Returns the mode, which stays, and the part of the new picture that is the whole of the old; None for no change.
        """
        if not self.tile or size is None:
            return None
        halvings, smaller = 0, self._halved(1)
        while smaller != self._halved(halvings) and smaller[0] >= size[0] and smaller[1] >= size[1]:
            halvings += 1
            smaller = self._halved(halvings + 1)
        self._halvings, self._size = halvings, self._halved(halvings)
        return (self.mode, (0, 0, *self._size)) if halvings else None

    def load(self, scale: float = 1.0) -> Any:
        """Decodes the picture, the first time.

        Args:
            scale: factor of width and height, as Pillow has it for vector formats.
        """
        if self.tile:
            decoded = PillowImage.fromarray(self._decoded(scale))
            self.im, self._size = decoded.im, decoded.size
            self.tile = []
            self.readonly = 0
            if self._exclusive_fp:
                self.fp.close()
            self.fp = None
        return super().load()

    def verify(self) -> None:
        """Checks every checksum, without decoding. Raises OSError."""
        try:
            container.unpack(self._bytes())
        except NifError as error:
            raise OSError(f"{self._name()}: {error}") from error
        super().verify()

    def _halved(self, times: int) -> Tuple[int, int]:
        """Width and height after so many halvings, as `decode` rounds them."""
        window = choose_window(
            self._stored_size, scale=0.5**times, max_pixels=self._stored_size[0] * self._stored_size[1]
        )
        return window.columns, window.rows

    def _decoded(self, scale: float) -> np.ndarray:
        """The pixels as Pillow's mode has them, (H, W) or (H, W, C)."""
        # How many are too many, Pillow has judged by its own limit when the file was opened.
        most = max(self.size[0] * self.size[1], DEFAULT_MAX_PIXELS if scale > 1 else 0)
        try:
            pixels = decoder.decode(self._bytes(), scale=scale * 0.5**self._halvings, max_pixels=most)
        except NifError as error:
            raise OSError(f"{self._name()}: {error}") from error
        if pixels.shape[2] == 1:
            return pixels[..., 0]
        if pixels.dtype == np.float32:
            warnings.warn(
                f"{self._name()}: Pillow holds no linear light in colour: tone-mapped to be looked at; "
                "nifcodec.decode gives the values",
                stacklevel=4,
            )
            return tone_map(pixels)
        return to_eight_bits(pixels) if pixels.dtype == np.uint16 else pixels

    def _bytes(self) -> bytes:
        self.fp.seek(0)
        return bytes(self.fp.read())

    def _name(self) -> str:
        return str(self.filename or "the file")


def _accept(prefix: bytes) -> bool:
    return prefix.startswith(SIGNATURE)


def _read_header(source: "IO[bytes]") -> NifFile:
    """The header and the metadata, without reading the payload behind them. Raises CorruptFileError."""
    data = source.read(HEADER_BYTES)
    while True:
        try:
            return container.read_header(data)
        except TruncatedError:
            more = source.read(len(data))
            if not more:
                raise
            data += more


def _save(picture: Any, target: "IO[bytes]", _filename: Union[str, bytes]) -> None:
    """Writes a picture of Pillow's.

    Its options are those of `OPTIONS`, `progress` as in `nifcodec.encode`, and `icc_profile`, `exif` and `xmp` in place
    of what `picture.info` has; None or b"" leaves them out. EXIF orientation is applied and reset.

    Raises ValueError for options, OSError for a picture that cannot be encoded.
    """
    given: Dict[str, Any] = picture.encoderinfo
    if given.get("lossless"):
        raise ValueError("a .nif is never lossless: give quality=100, or save PNG or lossless WebP")
    metadata = {name: given[name] for name in METADATA if name in given}
    if isinstance(metadata.get("exif"), PillowImage.Exif):
        metadata["exif"] = metadata["exif"].tobytes()
    options = {name: given[name] for name in OPTIONS if name in given}
    try:
        config = families.configure(**options)
    except ConfigError as error:
        raise ValueError(f"cannot save a .nif with {options}: {error}") from error
    try:
        image = from_pillow(picture, given=metadata)
        data = encoder.encode(image, config, given.get("progress"))
    except ConfigError as error:
        raise ValueError(str(error)) from error
    except NifError as error:
        raise OSError(str(error)) from error
    target.write(data)


def _save_all(picture: Any, target: "IO[bytes]", filename: Union[str, bytes]) -> None:
    frames = getattr(picture, "n_frames", 1) + len(list(picture.encoderinfo.get("append_images", ())))
    if frames > 1:
        warnings.warn(f"a .nif holds one picture: of {frames} frames the current one is saved", stacklevel=3)
    _save(picture, target, filename)
