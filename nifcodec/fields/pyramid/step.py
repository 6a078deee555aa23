"""One step of training a latent pyramid on the CPU: the loss, and its gradients by latents and weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, List, Optional, Sequence, Tuple, TypeVar

import numpy as np

from nifcodec.fields.pyramid.contract import Loss, Quantizer
from nifcodec.fields.pyramid.grids import FEATURED_LEVELS, FEATURES, GROUPS, LEVELS, NEIGHBOURS, Grid, all_grids
from nifcodec.fields.pyramid.networks import HIDDEN, Layout, Part, feature_sums, layout
from nifcodec.native.pyramid import HARD, SOFT, Geometry, NativePyramid, Planes, Rows, Synthesis
from nifcodec.threads import in_threads

Item = TypeVar("Item")
Result = TypeVar("Result")

STRIP = 32  # rows that a thread works on at a time, an even number


class Latents:
    """The latents of one grid, and what training keeps of each."""

    def __init__(self, grid: Grid, height: int, width: int) -> None:
        self.grid = grid
        self.geometry = Geometry(*grid.size(height, width))
        made = [self.geometry.planes(1) for _ in range(6)]
        self.y, self.s, self.slope, self.gradient = made[:4]
        self.moments = made[4], made[5]
        # Where features of coarser grids go, and the gradient by them.
        featured = not grid.hyper and grid.level in FEATURED_LEVELS
        half = Geometry(*Grid(grid.level + 1).size(height, width))
        self.features = half.planes(FEATURES) if featured else None
        self.by_features = half.planes(FEATURES) if featured else None
        self.own: List[np.ndarray] = []  # gradients by the entropy network, of each strip

    @property
    def strips(self) -> List[Rows]:
        """Rows of each strip."""
        return _strips(self.geometry.height)


@dataclass(frozen=True)
class _Evaluated:
    """Weights of the entropy networks and features, those of the rest, and the loss under them."""

    coding: np.ndarray
    making: np.ndarray
    loss: Loss


class Pyramid:
    """The latents of a picture, and a step of training them.

    Args:
        picture: float32 (H, W, 1..4) of 0..1.
        white: the largest integer of its samples: `evaluate` rounds to these.

    Attributes:
        layout: of the weights.
    """

    def __init__(self, native: NativePyramid, picture: np.ndarray, white: float = 255.0) -> None:
        height, width, colours = picture.shape
        self.layout, self._white = layout(colours), white
        self._native, self.pixels = native, height * width
        self.grids = [Latents(grid, height, width) for grid in all_grids()]
        self._seen = [latents for latents in self.grids if not latents.grid.hyper]
        whole = Geometry(height, width)
        self._z, self._by_z = whole.planes(LEVELS), whole.planes(LEVELS)
        planes = [whole.planes(colours) for _ in range(6)]
        self._target, self._colours, self._linear, self._rectified, self._out, self._inner = planes
        self._target.inner[...] = picture.transpose(2, 0, 1)
        self._strips = _strips(height)
        self._evaluated: Optional[_Evaluated] = None
        self._chains = [_Chain(latents, self._seen) for latents in self._seen]

    def step(
        self, weights: np.ndarray, quantizer: Optional[Quantizer], price: float, hidden: int = GROUPS
    ) -> Tuple[Loss, np.ndarray]:
        """As `contract.Step.step`; the gradient by hidden layers that are not wanted is 0."""
        self._evaluated = None
        self._quantize(quantizer)
        self._make_features(weights)
        by_weights = np.zeros(self.layout.count)
        bits = self._bits(weights, price, by_weights, hidden)
        squares = self._synthesise(weights, 0.0)
        self._back(weights, by_weights)
        self._back_features(weights, by_weights)
        return Loss(squares / (self.layout.colours * self.pixels), bits, self.pixels), by_weights.astype(np.float32)

    def evaluate(self, weights: np.ndarray) -> Loss:
        """The loss of rounded latents and of a picture of integers. What did not change since the last one is kept."""
        first = self.layout.upsampling.start
        coding, making = weights[:first].copy(), weights[first:].copy()
        kept = self._evaluated
        if kept is None:
            self._quantize(None)
        if kept is None or not np.array_equal(kept.coding, coding):
            self._make_features(weights)
            bits = self._bits(weights, 0.0, None)
        else:
            bits = kept.loss.bits
        if kept is None or not np.array_equal(kept.making, making):
            error = self._synthesise(weights, self._white) / (self.layout.colours * self.pixels)
        else:
            error = kept.loss.error
        self._evaluated = _Evaluated(coding, making, Loss(error, bits, self.pixels))
        return self._evaluated.loss

    def move(self, rate: float, betas: Tuple[float, float], epsilon: float, step: int) -> None:
        """One step of Adam on the latents, down the gradient of the last `step`."""
        self._evaluated = None

        def move(job: Tuple[Latents, int]) -> None:
            latents, index = job
            below = latents.own[index + 1] if index + 1 < len(latents.own) else None
            self._native.adam(
                latents.strips[index],
                latents.own[index],
                below,
                latents.gradient,
                latents.slope,
                latents.moments,
                latents.y,
                rate,
                betas,
                epsilon,
                step,
            )

        _each(move, [(latents, index) for latents in self.grids for index in range(len(latents.strips))])

    def latents(self) -> List[np.ndarray]:
        """Of all grids, finest first, float32 (rows, columns), not rounded: copies."""
        return [latents.y.inner[0].copy() for latents in self.grids]

    def set_latents(self, values: Sequence[np.ndarray]) -> None:
        """The inverse of `latents`."""
        self._evaluated = None
        for latents, each in zip(self.grids, values):
            latents.y.inner[0][...] = each

    def moments(self) -> List[np.ndarray]:
        """Of Adam: copies of the first ones of all grids as `latents` has them, then of the second ones."""
        return [latents.moments[number].inner[0].copy() for number in range(2) for latents in self.grids]

    def set_moments(self, values: Sequence[np.ndarray]) -> None:
        """The inverse of `moments`."""
        for number in range(2):
            for latents, each in zip(self.grids, values[number * len(self.grids) :]):
                latents.moments[number].inner[0][...] = each

    def restart(self) -> None:
        """Forgets the moments of Adam."""
        for latents in self.grids:
            for planes in latents.moments:
                planes.whole[...] = 0

    def picture(self) -> np.ndarray:
        """What the last `evaluate` made, float32 (H, W, C)."""
        return np.ascontiguousarray(self._out.inner.transpose(1, 2, 0))

    def _quantize(self, quantizer: Optional[Quantizer]) -> None:
        def quantize(job: Tuple[int, Rows]) -> None:
            number, rows = job
            latents = self.grids[number]
            kind, q = (HARD, Quantizer(1.0, 0.0)) if quantizer is None else (SOFT, quantizer)
            seed = (q.seed * len(self.grids) + number) * 0x9E3779B1
            native = self._native.quantize
            native(rows, latents.y, latents.s, latents.slope, kind, q.temperature, q.deviation, seed)

        _each(quantize, [(number, rows) for number, each in enumerate(self.grids) for rows in each.strips])

    def _make_features(self, weights: np.ndarray) -> None:
        known = {latents.grid: latents.s.inner[0] for latents in self.grids}
        for latents in self.grids:
            if latents.features is not None:
                level = latents.grid.level
                matrix, bias = (self.layout.parts[f"features {level}{end}"].of(weights) for end in ("", " bias"))
                latents.features.inner[...] = feature_sums(matrix, level, known) + bias[:, None, None]

    def _bits(self, weights: np.ndarray, price: float, by_weights: Optional[np.ndarray], hidden: int = GROUPS) -> float:
        nets = [np.ascontiguousarray(weights[self.layout.entropy(group)]) for group in range(GROUPS)]

        def strip(job: Tuple[Latents, Rows]) -> Tuple[float, Optional[np.ndarray], Optional[np.ndarray]]:
            latents, rows = job
            return self._native.bits(
                rows,
                latents.s,
                NEIGHBOURS,
                nets[latents.grid.group],
                latents.features,
                FEATURES,
                price,
                latents.by_features,
                latents.grid.group < hidden,
            )

        if by_weights is not None:
            for latents in self.grids:
                latents.own = []
                if latents.by_features is not None:
                    latents.by_features.whole[...] = 0
        jobs = [(latents, rows) for latents in self.grids for rows in latents.strips]
        total = 0.0
        for (latents, _), (bits, own, sums) in zip(jobs, _each(strip, jobs)):
            total += bits
            if by_weights is not None:
                assert own is not None
                latents.own.append(own)
                by_weights[self.layout.entropy(latents.grid.group)] += sums
        return total

    def _synthesise(self, weights: np.ndarray, white: float) -> float:
        native, z, net = self._native, self._z, self._net(weights)
        _each(lambda chain: chain.forward(native, self.layout, weights, z), self._chains)
        _each(lambda rows: native.mix(rows, net, z, self._colours, self._linear), self._strips)
        _each(lambda rows: native.first(rows, net, z, self._colours, self._rectified), self._strips)

        def second(rows: Rows) -> float:
            return native.second(rows, net, z, self._rectified, self._linear, self._target, self._out, white)

        return sum(_each(second, self._strips))

    def _back(self, weights: np.ndarray, by_weights: np.ndarray) -> None:
        native, z, net = self._native, self._z, self._net(weights)

        def last(rows: Rows) -> np.ndarray:
            return native.back_second(rows, net, z, self._rectified, self._out, self._inner)

        def rest(rows: Rows) -> np.ndarray:
            return native.back_first(rows, net, z, self._colours, self._inner, self._out, self._by_z)

        second = self.layout.parts["synthesis second kernel"].start
        for sums in _each(last, self._strips):
            by_weights[second:] += sums
        for sums in _each(rest, self._strips):
            by_weights[self.layout.synthesis.start : second] += sums
        for taps in _each(lambda chain: chain.back(native, self.layout, weights, self._by_z), self._chains):
            for part, sums in taps:
                part.of(by_weights)[...] += sums

    def _net(self, weights: np.ndarray) -> Synthesis:
        return Synthesis(np.ascontiguousarray(weights[self.layout.synthesis]), HIDDEN, self.layout.colours)

    def _back_features(self, weights: np.ndarray, by_weights: np.ndarray) -> None:
        for latents in self.grids:
            if latents.grid.hyper:
                latents.gradient.whole[...] = 0
        for number, latents in enumerate(self.grids):
            if latents.by_features is None:
                continue
            level = latents.grid.level
            part = self.layout.parts[f"features {level}"]
            by_part, matrix, pooled = part.of(by_weights), part.of(weights), latents.by_features.inner
            for at in range(level + 1, LEVELS):
                pooled = _pooled(pooled) if at > level + 1 else np.ascontiguousarray(pooled)
                flat = pooled.reshape(FEATURES, -1)
                if at == level + 1:
                    self.layout.parts[f"features {level} bias"].of(by_weights)[...] += flat.sum(axis=1)
                for index, each in enumerate(self.grids[number + 1 :]):
                    if each.grid.level == at:
                        values = each.s.inner[0]
                        by_part[:, index] += flat @ np.ascontiguousarray(values).ravel()
                        each.gradient.inner[0] += (matrix[:, index] @ flat).reshape(values.shape)


class _Chain:
    """The upsampling of one grid, and the planes on its way."""

    def __init__(self, latents: Latents, seen: List[Latents]) -> None:
        self._latents, level = latents, latents.grid.level
        self._sizes = [each.geometry for each in seen[: level + 1]]
        # By level: the plane, its gradient, and the half-way plane of its filter. The finest plane lies in z.
        self._planes = [size.planes(1) for size in self._sizes]
        self._by = [size.planes(1) for size in self._sizes]
        self._between = [
            Geometry(fine.height, coarse.width).planes(1) for fine, coarse in zip(self._sizes, self._sizes[1:])
        ]
        self._filtered, self._turned = self._sizes[level].planes(1), self._sizes[level].planes(1)
        self._is_last = latents.grid.level == LEVELS - 1

    def forward(self, native: NativePyramid, parts: Layout, weights: np.ndarray, z: Planes) -> None:
        """Writes the grid's plane of z."""
        level = self._latents.grid.level
        if not self._is_last:
            out = (z, 0) if level == 0 else (self._planes[level], 0)
            native.filter_grid(_taps(parts, weights, f"filter {level}"), self._latents.s, self._filtered, *out)
        for at in range(level - 1, -1, -1):
            source = self._latents.s if self._is_last and at == level - 1 else self._planes[at + 1]
            out = (self._planes[at], 0) if at else (z, level)
            native.double(_taps(parts, weights, f"double {at}"), source, self._between[at], *out)

    def back(
        self, native: NativePyramid, parts: Layout, weights: np.ndarray, by_z: Planes
    ) -> List[Tuple[Part, np.ndarray]]:
        """Writes the gradient by the latents; returns that by the taps."""
        level = self._latents.grid.level
        sums: List[Tuple[Part, np.ndarray]] = []
        gradient = self._latents.gradient
        gradient.whole[...] = 0
        for at in range(level):
            source = self._latents.s if self._is_last and at == level - 1 else self._planes[at + 1]
            by = gradient if self._is_last and at == level - 1 else self._by[at + 1]
            over = (self._by[at], 0) if at else (by_z, level)
            name = f"double {at}"
            taps = _taps(parts, weights, name)
            sums.append((parts.parts[name], native.double_back(taps, source, self._between[at], *over, by)))
        if not self._is_last:
            over = (self._by[level], 0) if level else (by_z, 0)
            name = f"filter {level}"
            taps = _taps(parts, weights, name)
            found = native.filter_grid_back(taps, self._latents.s, self._filtered, *over, self._turned, gradient)
            sums.append((parts.parts[name], found))
        return sums


def _each(function: Callable[[Item], Result], items: Sequence[Item]) -> List[Result]:
    return list(in_threads(function, items))


def _strips(height: int) -> List[Rows]:
    return [(top, min(top + STRIP, height)) for top in range(0, height, STRIP)]


def _taps(parts: Layout, weights: np.ndarray, name: str) -> np.ndarray:
    return np.ascontiguousarray(parts.parts[name].of(weights))


def _pooled(planes: np.ndarray) -> np.ndarray:
    """Sums of 2x2 samples, fewer at the end: (C, H, W) -> (C, halves up)."""
    height, width = planes.shape[1:]
    even = np.pad(planes, ((0, 0), (0, height % 2), (0, width % 2)))
    rows = even[:, ::2] + even[:, 1::2]
    return np.asarray(rows[:, :, ::2] + rows[:, :, 1::2])
