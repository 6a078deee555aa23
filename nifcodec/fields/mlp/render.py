"""The reference renderer of the coordinate networks, in NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Sequence

import numpy as np

from nifcodec.errors import MalformedError
from nifcodec.fields.mlp.description import MlpDescription
from nifcodec.fields.mlp.position_encoding import colour_matrix, encode_grid

BAND_VALUES = 2**19  # 2 MiB, near what a core's cache holds


def pixel_centres(count: int) -> np.ndarray:
    """(count,) float64 coordinates (i + 0.5) / count of the samples of an axis."""
    return (np.arange(count, dtype=np.float64) + 0.5) / count


def render(
    spec: MlpDescription,
    tensors: Sequence[np.ndarray],
    us: np.ndarray,
    vs: np.ndarray,
    band_values: int = BAND_VALUES,
) -> np.ndarray:
    """Evaluate the network on the grid vs x us, in bands whose memory does not depend on the grid.

    Args:
        tensors: float32 arrays of `spec.tensor_shapes()`.
        us, vs: (columns,) and (rows,) coordinates, u = (column + 0.5) / W, v = (row + 0.5) / H; any finite numbers.
        band_values: float32 values of the widest activation at a time.

    Returns:
        (rows, columns, channels) float32 picture values, [0, 1] where the network is right, not clipped; always finite.

    Raises:
        MalformedError: the tensors are not those of the description.
    """
    shapes = tuple(np.shape(tensor) for tensor in tensors)
    if shapes != spec.tensor_shapes():
        raise MalformedError("weights", "do not have the shapes of the description")
    us, vs = np.asarray(us, dtype=np.float64), np.asarray(vs, dtype=np.float64)
    widest = max(max(layer.inputs, layer.units) for layer in spec.plan())
    samples = max(band_values // widest, 1)
    columns = max(min(len(us), samples), 1)
    rows = max(samples // columns, 1)
    out = np.empty((len(vs), len(us), spec.channels), dtype=np.float32)
    # Hostile weights overflow; the picture is then nonsense but finite.
    with np.errstate(over="ignore", invalid="ignore"):
        for top in range(0, len(vs), rows):
            for left in range(0, len(us), columns):
                place = np.s_[top : top + rows, left : left + columns]
                encoded = encode_grid(spec, us[place[1]], vs[place[0]])
                out[place] = _forward(spec, tensors, encoded.reshape(-1, spec.inputs)).reshape(out[place].shape)
    return np.nan_to_num(out, copy=False)


@dataclass(frozen=True)
class Network:
    """A network to be sampled: `render` with its first two arguments."""

    spec: MlpDescription
    tensors: Sequence[np.ndarray]

    def __call__(self, us: np.ndarray, vs: np.ndarray) -> np.ndarray:
        return render(self.spec, self.tensors, us, vs)


def _forward(spec: MlpDescription, tensors: Sequence[np.ndarray], encoded: np.ndarray) -> np.ndarray:
    """(n, inputs) encoded positions -> (n, channels) picture values."""
    remaining = iter(tensors)
    hidden = encoded
    for layer in spec.plan():
        if layer.joins_encoding:
            hidden = np.concatenate([hidden, encoded], axis=1)
        hidden = hidden @ next(remaining)
        if layer.bias:
            hidden += next(remaining)
        if layer.hidden and spec.family == "siren":
            hidden *= np.float32(spec.omega)
            np.sin(hidden, out=hidden)
        elif layer.hidden:
            np.maximum(hidden, 0, out=hidden)
    return np.asarray(hidden @ colour_matrix(spec).T)
