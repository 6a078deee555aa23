"""One step of training a latent pyramid on the CPU: the loss, and its gradients by latents and weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, List, Optional, Sequence, Tuple, TypeVar

import numpy as np

from nifcodec.fields.pyramid.chains import Chain, Features, Latents, strips_of
from nifcodec.fields.pyramid.contract import Loss, Quantizer, costs_of
from nifcodec.fields.pyramid.grids import FEATURED_LEVELS, FEATURES, GROUPS, LEVELS, NEIGHBOURS, Grid, all_grids
from nifcodec.fields.pyramid.networks import HIDDEN, layout
from nifcodec.fields.pyramid.together import TOGETHER_FROM, Together
from nifcodec.native.planes import Geometry, Rows
from nifcodec.native.pyramid import HARD, SOFT, NativePyramid
from nifcodec.native.synthesis import Synthesis
from nifcodec.threads import in_threads

Item = TypeVar("Item")
Result = TypeVar("Result")


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
        moved: the rows and columns of a grid's latents that are moved; None where all are.

    Attributes:
        layout: of the weights.
    """

    def __init__(
        self,
        native: NativePyramid,
        picture: np.ndarray,
        white: float = 255.0,
        moved: Optional[Callable[[Grid], Tuple[slice, slice]]] = None,
    ) -> None:
        height, width, colours = picture.shape
        self.layout, self._white = layout(colours), white
        self._native, self.pixels, self._is_moved = native, height * width, moved
        self.grids = [Latents(grid, height, width) for grid in all_grids()]
        self._seen = [latents for latents in self.grids if not latents.grid.hyper]
        whole = Geometry(height, width)
        self._z, self._by_z = whole.planes(LEVELS), whole.planes(LEVELS)
        planes = [whole.planes(colours) for _ in range(6)]
        self._target, self._colours, self._linear, self._rectified, self._out, self._inner = planes
        self._target.inner[...] = picture.transpose(2, 0, 1)
        self._strips = strips_of(height)
        self._evaluated: Optional[_Evaluated] = None
        self._together: Optional[Together] = None
        self._chains = [Chain(latents, self._seen) for latents in self._seen]
        self._features = {Grid(level): Features(level, self.grids) for level in FEATURED_LEVELS}

    def step(
        self, weights: np.ndarray, quantizer: Optional[Quantizer], price: float, learn: bool = True
    ) -> Tuple[Loss, np.ndarray]:
        """As `contract.Step.step`; a gradient by the weights that is not wanted is that of the taps alone."""
        self._evaluated = None
        self._quantize(quantizer)
        self._make_features(weights)
        by_weights = np.zeros(self.layout.count)
        bits = self._bits(weights, price, by_weights, learn)
        squares = self._synthesise(weights, 0.0)
        self._back(weights, by_weights, learn)
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

    def costs(self, weights: np.ndarray, price: float) -> np.ndarray:
        """As `contract.Step.costs`."""
        self._evaluated = None
        self._quantize(None)
        self._make_features(weights)
        self._bits(weights, 0.0, None, each=True)
        self._synthesise(weights, self._white)
        errors = np.square(self._out.inner - self._target.inner).mean(axis=0)
        return costs_of(errors, [latents.bits.inner[0] for latents in self.grids if latents.bits is not None], price)

    def gradients(self) -> List[np.ndarray]:
        """As `contract.Step.gradients`."""
        return [latents.by_seen() for latents in self.grids]

    def move(self, rate: float, betas: Tuple[float, float], epsilon: float, step: int) -> None:
        """As `contract.Step.move`; where latents around a window stay, nothing is added again."""
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
                latents.moves,
            )

        _each(move, [(latents, index) for latents in self.grids for index in range(len(latents.strips))])
        if self._is_moved is None and step >= TOGETHER_FROM:
            if self._together is None:
                self._together = Together(self._native, self._target.inner.transpose(1, 2, 0))
            self._together.move(self.grids)

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
            temperature = q.temperature_of(latents.grid)
            native(rows, latents.y, latents.s, latents.slope, kind, temperature, q.deviation, seed)

        _each(quantize, [(number, rows) for number, each in enumerate(self.grids) for rows in each.strips])
        if self._is_moved is not None and quantizer is not None:
            for latents in self.grids:
                slope, place = latents.slope.inner[0], self._is_moved(latents.grid)
                kept = slope[place].copy()
                slope[...] = 0
                slope[place] = kept

    def _make_features(self, weights: np.ndarray) -> None:
        _each(lambda each: each.forward(self._native, self.layout, weights), list(self._features.values()))

    def _bits(
        self,
        weights: np.ndarray,
        price: float,
        by_weights: Optional[np.ndarray],
        learn: bool = True,
        each: bool = False,
    ) -> float:
        nets = [np.ascontiguousarray(weights[self.layout.entropy(group)]) for group in range(GROUPS)]

        def strip(job: Tuple[Latents, Rows]) -> Tuple[float, Optional[np.ndarray], Optional[np.ndarray]]:
            latents, rows = job
            features = self._features.get(latents.grid)
            return self._native.bits(
                rows,
                latents.s,
                NEIGHBOURS,
                nets[latents.grid.group],
                None if features is None else features.out,
                FEATURES,
                price,
                None if features is None else features.by_out,
                learn,
                latents.bits if each else None,
            )

        if by_weights is not None:
            for latents in self.grids:
                latents.own = []
            for features in self._features.values():
                features.by_out.whole[...] = 0
        for latents in self.grids if each else ():
            latents.bits = latents.bits or latents.geometry.planes(1)
        jobs = [(latents, rows) for latents in self.grids for rows in latents.strips]
        total = 0.0
        for (latents, _), (bits, own, sums) in zip(jobs, _each(strip, jobs)):
            total += bits
            if by_weights is not None:
                assert own is not None
                latents.own.append(own)
                if sums is not None:
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

    def _back(self, weights: np.ndarray, by_weights: np.ndarray, learn: bool) -> None:
        native, z, net = self._native, self._z, self._net(weights)

        def last(rows: Rows) -> Optional[np.ndarray]:
            return native.back_second(rows, net, z, self._rectified, self._out, self._inner, learn)

        def rest(rows: Rows) -> Optional[np.ndarray]:
            return native.back_first(rows, net, z, self._colours, self._inner, self._out, self._by_z, learn)

        second = self.layout.parts["synthesis second kernel"].start
        first = self.layout.synthesis.start
        for place, function in ((slice(second, None), last), (slice(first, second), rest)):
            for sums in _each(function, self._strips):
                if sums is not None:
                    by_weights[place] += sums
        for taps in _each(lambda chain: chain.back(native, self.layout, weights, self._by_z), self._chains):
            for part, sums in taps:
                part.of(by_weights)[...] += sums

    def _net(self, weights: np.ndarray) -> Synthesis:
        return Synthesis(np.ascontiguousarray(weights[self.layout.synthesis]), HIDDEN, self.layout.colours)

    def _back_features(self, weights: np.ndarray, by_weights: np.ndarray) -> None:
        for latents in self.grids:
            if latents.grid.hyper:
                latents.gradient.whole[...] = 0
        # One after the other: all of them add to the gradients by the same grids.
        for features in self._features.values():
            for part, sums in features.back(self._native, self.layout, weights):
                part.of(by_weights)[...] += sums


def _each(function: Callable[[Item], Result], items: Sequence[Item]) -> List[Result]:
    return list(in_threads(function, items))
