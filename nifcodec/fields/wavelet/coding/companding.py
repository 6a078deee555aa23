"""The companding of what the context model reads: integers of any size -> features of seven bits.

The curve is round(22 asinh(d / UNIT)), nearly linear below one quantization step and logarithmic above. It is checked
in as the smallest magnitude of each feature value, so that it is the same on every machine.
"""

from __future__ import annotations

import numpy as np

from nifcodec.fields.wavelet.lattice import UNIT

FEATURE_MAX = 127
COMPAND_LIMIT = 128 * UNIT

# fmt: off
FIRST_MAGNITUDE = (
    2, 5, 8, 11, 14, 17, 20, 23, 26, 29, 32, 35, 39, 42, 46, 49, 53, 57, 61, 65, 69, 73, 78, 83, 87, 92, 98, 103,
    109, 114, 121, 127, 133, 140, 147, 155, 163, 171, 179, 188, 197, 207, 217, 227, 238, 250, 262, 274, 287, 301,
    315, 330, 346, 362, 379, 397, 415, 435, 455, 477, 499, 522, 547, 572, 599, 627, 656, 687, 719, 753, 788, 825,
    863, 903, 945, 989, 1035, 1084, 1134, 1187, 1242, 1300, 1360, 1424, 1490, 1559, 1632, 1708, 1787, 1870, 1957,
    2048, 2144, 2243, 2348, 2457, 2571, 2691, 2816, 2947, 3084, 3227, 3377, 3535, 3699, 3871, 4051, 4239, 4436,
    4643, 4859, 5085, 5321, 5569, 5827, 6098, 6382, 6679, 6989, 7314, 7655, 8011,
)
# fmt: on


def _table() -> np.ndarray:
    magnitudes = np.abs(np.arange(-COMPAND_LIMIT, COMPAND_LIMIT + 1))
    features = np.searchsorted(FIRST_MAGNITUDE, magnitudes, side="right")
    features[:COMPAND_LIMIT] *= -1
    return features.astype(np.int8)


COMPAND_TABLE = _table()
