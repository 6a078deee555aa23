"""A trained context network in integers, and the frequency tables that its outputs choose from.

Scales of the integers (per 1.0 of the float twin): features 32, hidden units 128, weights 256, linear terms 1024, so
that log2 scales and means come out at 32768. All sums stay below 2^23: exact in float32, in any order.
"""

from __future__ import annotations

from typing import Dict, Iterator, List, Sequence, Tuple

import numpy as np

from nifcodec.entropy.range_coder import TOTAL
from nifcodec.fields.wavelet.coding.binarization import (
    FIRST_SHIFTED,
    FRACTIONS,
    LARGEST,
    NEAR_ZERO,
    Q0_START,
    Q1_START,
    TABLES,
    Binarization,
    binarization_of,
    binarize,
)
from nifcodec.fields.wavelet.coding.companding import FEATURE_MAX
from nifcodec.fields.wavelet.coding.context_model import HIDDEN_MAX, ContextModel, Network, evaluate, stack
from nifcodec.fields.wavelet.coding.dependent_quantization import to_indices
from nifcodec.fields.wavelet.priors.prior_file import ARRAYS, SYMBOLS

BOUND = (1 << 23) - 1
PSEUDO_COUNT = 200.0  # weight of the Laplacian beside the counted samples of a table
TAIL = 1e-5  # probability of a second, wide Laplacian: no coefficient is impossible

Integers = Dict[str, np.ndarray]


def _bounded(weights: np.ndarray, bias: np.ndarray, top: int, reserve: np.ndarray) -> np.ndarray:
    """Integer weights (in, out), a column shrunk where its largest possible sum would reach 2^23."""
    whole = np.rint(weights).clip(-32767, 32767)
    room = BOUND - np.abs(bias) - reserve
    needed = np.abs(whole).sum(axis=0) * top
    factor = np.minimum(1.0, room / np.maximum(needed, 1))
    return np.where(factor < 1, np.trunc(whole * factor), whole)


def to_integers(weights: Sequence[np.ndarray]) -> Integers:
    """w1, b1, w2, b2, w3, b3, skip of the float twin -> the arrays that a prior stores."""
    w1, b1, w2, b2, w3, b3, skip = [np.asarray(weight, np.float64) for weight in weights]
    half = BOUND // 2  # leaves the weights at least as much room as the bias
    biases = [np.rint(b * s).clip(-half, half) for b, s in ((b1, 256 * 32), (b2, 256 * 128), (b3, 256 * 128))]
    none = np.zeros(1)
    whole_skip = _bounded(skip * 1024, np.zeros(1), 2 * FEATURE_MAX, none)[:, 0]  # at most half of the range
    reserve = np.array([0.0, np.abs(whole_skip).sum() * FEATURE_MAX])
    return {
        "w1": _bounded(w1 * 256, biases[0], FEATURE_MAX, none).astype(np.int16),
        "b1": biases[0].astype(np.int32),
        "w2": _bounded(w2 * 256, biases[1], HIDDEN_MAX, none).astype(np.int16),
        "b2": biases[1].astype(np.int32),
        "w3": _bounded(w3 * 256, biases[2], HIDDEN_MAX, reserve).astype(np.int16),
        "b3": biases[2].astype(np.int32),
        "skip": whole_skip.astype(np.int16),
    }


def outputs(network: Integers, features: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """int8 features (N, F) -> scale indices and means as the codec has them, int32 (N,)."""
    single = Network(*(network[name].astype(np.float32) for name in ARRAYS))
    width = features.shape[1]
    scales, means = evaluate(stack([single], [np.arange(width)], width), features[None].astype(np.float32))
    return scales[0], means[0]


def to_floats(network: Integers) -> List[np.ndarray]:
    """The inverse of `to_integers`, but for what rounding took."""
    units = {"w1": 256, "b1": 256 * 32, "w2": 256, "b2": 256 * 128, "w3": 256, "b3": 256 * 128, "skip": 1024}
    weights = [np.asarray(network[name], np.float32) / np.float32(units[name]) for name in ARRAYS]
    return [*weights[:-1], weights[-1][:, None]]


def _parts(
    network: Integers, features: np.ndarray, values: np.ndarray, kinds: np.ndarray
) -> Iterator[Tuple[np.ndarray, Binarization]]:
    """Indices of quantizers with their contexts, some at a time."""
    for start in range(0, len(values), 1 << 16):
        part = slice(start, start + (1 << 16))
        indices = to_indices(values[part].astype(np.int64), kinds[part])
        yield indices, binarization_of(*outputs(network, features[part]), kinds[part])


def count(network: Integers, features: np.ndarray, values: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """Histogram int64 (TABLES, SYMBOLS) of the samples under a network.

    Args:
        values: of the coefficients, in half steps.
        kinds: of their quantizers.
    """
    counts = np.zeros(TABLES * SYMBOLS, np.int64)
    for part in _parts(network, features, values, kinds):
        cells = binarize(*part)
        counts += np.bincount(cells.tables * SYMBOLS + cells.symbols, minlength=TABLES * SYMBOLS)
    return counts.reshape(TABLES, SYMBOLS)


def laplacian(scale: float, mean: float, odd: bool = False) -> np.ndarray:
    """Probabilities of the indices -LARGEST..LARGEST, the ends with all beyond them, float64 (SYMBOLS,).

    Args:
        scale, mean: in steps, the mean from the value of the index 0.
        odd: indices of the quantizer with the odd half steps, whose values are nearer to each other around zero.
    """
    borders = np.arange(-LARGEST, LARGEST) + 0.5
    if odd:
        borders = borders - np.sign(borders) * np.where(np.abs(borders) < 1, 0.25, 0.5)
    borders = borders - mean
    below = np.where(borders < 0, 0.5 * np.exp(-np.abs(borders) / scale), 1 - 0.5 * np.exp(-np.abs(borders) / scale))
    masses = np.diff(np.concatenate([[0.0], below, [1.0]]))
    return masses * (1 - TAIL) + TAIL / SYMBOLS


def _rows() -> Iterator[Tuple[float, float, bool]]:
    """Of each table scale and mean in steps, and whether it knows zero's gap; in the order of `binarization_of`."""
    scales = [2.0 ** (scale / 4 - 6) for scale in range(FIRST_SHIFTED)]
    for _ in range(Q1_START // Q0_START):
        yield from ((scale, fraction / 8, False) for scale in scales for fraction in range(FRACTIONS))
    for scale in scales:
        yield from ((scale, mean / 8, True) for mean in range(NEAR_ZERO))
        yield from ((scale, fraction / 8, False) for fraction in range(FRACTIONS))


def frequency_tables(counts: np.ndarray) -> np.ndarray:
    """Histogram -> uint32 (TABLES, SYMBOLS): rows sum to 2^24, every entry is at least 1, mean 0 is symmetric."""
    tables = np.empty((TABLES, SYMBOLS), np.int64)
    for row, (scale, mean, odd) in enumerate(_rows()):
        observed, symmetric = counts[row].astype(np.float64), mean == 0
        if symmetric:
            observed = (observed + observed[::-1]) / 2
        model = laplacian(scale, mean, odd)
        shares = (observed + PSEUDO_COUNT * model) / (observed.sum() + PSEUDO_COUNT * model.sum())
        if symmetric:
            shares = (shares + shares[::-1]) / 2  # the model's two halves differ in the last place
        tables[row] = np.floor(shares * (TOTAL - SYMBOLS)).astype(np.int64) + 1
        # The middle takes what rounding left over, so that the symmetry stays.
        middle = LARGEST if symmetric else int(tables[row].argmax())
        tables[row, middle] += TOTAL - tables[row].sum()
    return tables.astype(np.uint32)


def coded_bits(
    network: Integers, tables: np.ndarray, features: np.ndarray, values: np.ndarray, kinds: np.ndarray
) -> float:
    """Mean bits of a coefficient as a file codes it: integers, tables, raw bits and escapes."""
    model = ContextModel({}, tables)
    parts = _parts(network, features, values, kinds)
    return sum(float(model.code_length(*part).sum()) for part in parts) / len(values)
