"""The frozen description of a coordinate network, from which its NumPy renderer and its TensorFlow twin are both built.

Two families: `fourier`, a ReLU network over a position encoding (Mildenhall et al. 2020, section 5.1, or Tancik et
al. 2020) with a skip connection half way, and `siren` (Sitzmann et al. 2020).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from typing import List, Tuple

from nifcodec.errors import LimitError, MalformedError

FAMILY_IDS = {"fourier": 1, "siren": 2}
ENCODING_CODES = {"powers": 0, "gaussian": 1, "none": 2}
COLOUR_CODES = {"rgb": 0, "ycocg": 1, "yuv": 2}

MAX_PARAMETERS = 2**24  # 64 MiB of float32: more than any picture within the limits can use, little for a decoder
MAX_WIDTH = 2048
MAX_LAYERS = 32
MAX_DIMENSION = 32
MAX_FEATURES = 1024
MAX_FREQUENCY = 2.0**20  # radians a unit: above the Nyquist frequency of the largest side, pi * 2^17 / 2
FIXED_POINT = 256  # sigma, scale and omega are stored as 16-bit multiples of 1 / FIXED_POINT


@dataclass(frozen=True)
class Layer:
    """One affine layer: kernel (inputs, units), and a bias (units,) where `bias`; linear where not `hidden`."""

    inputs: int
    units: int
    bias: bool
    hidden: bool
    joins_encoding: bool = False  # the encoding is appended to this layer's input

    @property
    def shapes(self) -> Tuple[Tuple[int, ...], ...]:
        kernel = (self.inputs, self.units)
        return (kernel, (self.units,)) if self.bias else (kernel,)


@dataclass(frozen=True)
class MlpDescription:
    """A network from (u, v) to `channels` values; every number that rendering needs besides the weights.

    Attributes:
        family: "fourier" or "siren".
        channels: 1 grey, 2 grey + alpha, 3 RGB, 4 RGBA.
        width: units of a hidden layer, 1 to MAX_WIDTH.
        layers: number of hidden layers, 1 to MAX_LAYERS.
        encoding: of `fourier`: "powers", "gaussian" or "none"; of `siren` always "none".
        dimension, sigma: "powers": frequencies sigma^i in radians over p = 2u - 1, i < dimension.
        features, scale, seed: "gaussian": number of frequency vectors, their standard deviation in cycles a picture,
            and the 32-bit seed that they are drawn from.
        omega: `siren`: factor of every hidden layer's argument.
        colour: space of the output, "rgb", "ycocg" or "yuv"; "rgb" below 3 channels.
    """

    family: str
    channels: int
    width: int
    layers: int
    encoding: str = "powers"
    dimension: int = 0
    sigma: float = 0.0
    features: int = 0
    scale: float = 0.0
    seed: int = 0
    omega: float = 0.0
    colour: str = "rgb"

    @property
    def inputs(self) -> int:
        """Width of the encoded position."""
        if self.encoding == "powers":
            return 4 * self.dimension
        return 2 * self.features if self.encoding == "gaussian" else 2

    def plan(self) -> Tuple[Layer, ...]:
        """The layers from input to output, in the order of their tensors."""
        if self.family == "siren":
            sizes = [self.inputs] + [self.width] * self.layers
            hidden = [Layer(sizes[i], sizes[i + 1], True, True) for i in range(self.layers)]
            return (*hidden, Layer(self.width, self.channels, True, False))
        join = self.layers // 2
        narrow = self.width - self.inputs
        before_join = narrow if narrow >= self.width / 2 else self.width
        plan: List[Layer] = []
        inputs = self.inputs
        for index in range(self.layers):
            joins = index == join and index > 0
            units = before_join if index == join - 1 else self.width
            plan.append(Layer(inputs + (self.inputs if joins else 0), units, index == self.layers - 1, True, joins))
            inputs = units
        return (*plan, Layer(self.width, self.channels, True, False))

    def tensor_shapes(self) -> Tuple[Tuple[int, ...], ...]:
        """Shapes of all tensors, kernel before bias, input layer first."""
        return tuple(shape for layer in self.plan() for shape in layer.shapes)

    def parameter_count(self) -> int:
        return sum(layer.units * (layer.inputs + layer.bias) for layer in self.plan())

    def macs_per_pixel(self) -> int:
        """Multiply-adds of one sample, the colour matrix included."""
        return sum(layer.inputs * layer.units for layer in self.plan()) + (9 if self.channels >= 3 else 0)

    def validate(self) -> None:
        """Check every value before anything is allocated.

        Raises:
            MalformedError: a value that the format does not allow.
            LimitError: a value above its limit.
        """
        if self.family not in FAMILY_IDS:
            raise MalformedError("family", f"is {self.family!r}, not one of {', '.join(FAMILY_IDS)}")
        if not 1 <= self.channels <= 4:
            raise MalformedError("channels", f"is {self.channels}, not 1 to 4")
        if self.colour not in COLOUR_CODES or (self.channels < 3 and self.colour != "rgb"):
            raise MalformedError("colour", f"is {self.colour!r}, which {self.channels} channels do not have")
        _within("width", self.width, 1, MAX_WIDTH)
        _within("layers", self.layers, 1, MAX_LAYERS)
        if self.family == "siren":
            if self.encoding != "none":
                raise MalformedError("encoding", "must be none for siren")
            _fixed_point("omega", self.omega)
        elif self.encoding == "powers":
            _within("dimension", self.dimension, 1, MAX_DIMENSION)
            _fixed_point("sigma", self.sigma)
            if self.sigma ** (self.dimension - 1) > MAX_FREQUENCY:
                raise LimitError(
                    f"sigma {self.sigma} to the power of {self.dimension - 1} is above {MAX_FREQUENCY:.0f}"
                )
        elif self.encoding == "gaussian":
            _within("features", self.features, 1, MAX_FEATURES)
            _within("seed", self.seed, 0, 2**32 - 1)
            _fixed_point("scale", self.scale)
        elif self.encoding != "none":
            raise MalformedError("encoding", f"is {self.encoding!r}, not one of {', '.join(ENCODING_CODES)}")
        if self.parameter_count() > MAX_PARAMETERS:
            raise LimitError(f"{self.parameter_count()} parameters are above the limit of {MAX_PARAMETERS}")


def _within(name: str, value: int, low: int, high: int) -> None:
    if value < low:
        raise MalformedError(name, f"is {value}, below {low}")
    if value > high:
        raise LimitError(f"{name} {value} is above the limit of {high}")


def _fixed_point(name: str, value: float) -> None:
    stored = value * FIXED_POINT
    if not 1 <= stored < 2**16 or stored != int(stored):
        raise MalformedError(name, f"is {value}, not a multiple of 1/{FIXED_POINT} below 256")


def pack(spec: MlpDescription) -> bytes:
    """The description as stored, 6 to 10 bytes; family id and channel count stand in the file's header."""
    spec.validate()
    code = ENCODING_CODES[spec.encoding] | COLOUR_CODES[spec.colour] << 4
    head = struct.pack("<HBB", spec.width, spec.layers, code)
    if spec.family == "siren":
        return head + struct.pack("<H", int(spec.omega * FIXED_POINT))
    if spec.encoding == "powers":
        return head + struct.pack("<BH", spec.dimension, int(spec.sigma * FIXED_POINT))
    if spec.encoding == "gaussian":
        return head + struct.pack("<HHI", spec.features, int(spec.scale * FIXED_POINT), spec.seed)
    return head


def unpack(family_id: int, channels: int, data: bytes) -> MlpDescription:
    """The inverse of `pack`, validated.

    Raises:
        MalformedError: a value that the format does not allow, or too few or too many bytes.
        LimitError: a value above its limit.
    """
    families = {number: name for name, number in FAMILY_IDS.items()}
    if family_id not in families:
        raise MalformedError("family", f"is {family_id}, not a coordinate network")
    family = families[family_id]
    if len(data) < 4:
        raise MalformedError("description", f"has {len(data)} bytes, fewer than 4", offset=0)
    width, layers, code = struct.unpack_from("<HBB", data)
    encoding = _named("encoding", ENCODING_CODES, code & 15)
    colour = _named("colour", COLOUR_CODES, code >> 4)
    layout = "<H" if family == "siren" else {"powers": "<BH", "gaussian": "<HHI", "none": "<"}[encoding]
    if len(data) != 4 + struct.calcsize(layout):
        raise MalformedError("description", f"has {len(data)} bytes, not {4 + struct.calcsize(layout)}", offset=4)
    values = struct.unpack_from(layout, data, 4)
    spec = MlpDescription(family, channels, width, layers, encoding, colour=colour)
    if family == "siren":
        spec = replace(spec, omega=values[0] / FIXED_POINT)
    elif encoding == "powers":
        spec = replace(spec, dimension=values[0], sigma=values[1] / FIXED_POINT)
    elif encoding == "gaussian":
        spec = replace(spec, features=values[0], scale=values[1] / FIXED_POINT, seed=values[2])
    spec.validate()
    return spec


def _named(field: str, codes: "dict[str, int]", code: int) -> str:
    for name, number in codes.items():
        if number == code:
            return name
    raise MalformedError(field, f"has the unknown code {code}", offset=3)
