"""Training of a large picture: networks on a sample of it, then latents window by window under these networks.

So memory stays that of a window, and the time of the networks does not grow with the picture. What is seen around a
window's square stays as it is while the square is trained: whoever is trained later makes good what changed beside it,
and there are no seams.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from nifcodec.fields.pyramid.contract import Loss
from nifcodec.fields.pyramid.first_latents import Sums, predict
from nifcodec.fields.pyramid.fit import State, fit_latents
from nifcodec.fields.pyramid.flips import flipped
from nifcodec.fields.pyramid.grids import Grid, all_grids
from nifcodec.fields.pyramid.schedule import Phase
from nifcodec.fields.pyramid.step import Pyramid
from nifcodec.fields.pyramid.windows import Window, sample, windows
from nifcodec.native.pyramid import NativePyramid

OWN_LEVELS = 4  # finest levels whose latents a sample has enough of to fit the map of first latents to


class LargePicture:
    """A picture that is not trained as a whole.

    Args:
        picture: float32 (H, W, 1..4) of 0..1.
        white: the largest integer of its samples.

    Attributes:
        sample: of it, which networks are trained on.
        latents: of all grids, finest first, float32; empty before there are first ones.
        done: windows that are trained.
    """

    def __init__(self, native: NativePyramid, picture: np.ndarray, white: float) -> None:
        self._native, self._picture, self._white = native, picture, white
        self.sample = sample(picture)
        self.windows = windows(*picture.shape[:2])
        self.latents: List[np.ndarray] = []
        self.done = 0

    def begin(self, trained: Sequence[np.ndarray], maps: Sequence[np.ndarray]) -> None:
        """Makes first latents.

        Args:
            trained: latents of the sample.
            maps: of first latents, for the grids that a sample has too few latents of.
        """
        sums = Sums()
        sums.add(self.sample, trained)
        used = [own if grid.level < OWN_LEVELS else given for grid, own, given in zip(all_grids(), sums.maps(), maps)]
        self.latents = [np.empty(grid.size(*self._picture.shape[:2]), np.float32) for grid in all_grids()]
        for window in self.windows:
            self._keep(window, predict(window.of(self._picture), used))
        self.done = 0

    def fit(
        self,
        weights: np.ndarray,
        phase: Phase,
        price: float,
        seed: int,
        rounds: int,
        tell: Callable[[int, Loss], None],
        stopped: Callable[[], bool],
        fitted: Optional[Callable[[Loss], None]] = None,
    ) -> None:
        """Trains the windows that are not done, one after the other, until all are or it is stopped.

        Args:
            rounds: of trying single latents at the end of each window.
            tell: called after each step with the steps so far, of all windows, and the loss.
            fitted: called after each window.
        """
        last: Loss = Loss(1.0, 0.0, 1)
        while self.done < len(self.windows) and not stopped():
            window, before = self.windows[self.done], self.done * phase.steps

            def told(steps: int, loss: Loss, before: int = before) -> None:
                nonlocal last
                last = loss
                tell(before + steps, loss)

            def moved(grid: Grid, window: Window = window) -> Tuple[slice, slice]:
                return window.inner_of_seen(grid.level)

            step = Pyramid(self._native, window.of(self._picture), self._white, moved)
            step.set_latents([window.of(values, grid.level) for grid, values in zip(all_grids(), self.latents)])
            fit_latents(step, weights, phase, price, seed * len(self.windows) + self.done, told, stopped)
            fitted_state = State(weights, step.latents(), step.evaluate(weights))
            self._keep(window, flipped(step, fitted_state, price, rounds, stopped, moved).latents)
            if stopped():
                return
            self.done += 1
            if fitted is not None:
                fitted(last)

    def _keep(self, window: Window, found: Sequence[np.ndarray]) -> None:
        """Of latents of what a window sees, those of its square."""
        for grid, whole, values in zip(all_grids(), self.latents, found):
            whole[window.inner(grid.level)] = values[window.inner_of_seen(grid.level)]

    def record(self) -> Dict[str, Any]:
        """What a checkpoint keeps, after a window."""
        return {"done": self.done, **{f"latents {number}": each.copy() for number, each in enumerate(self.latents)}}

    def restore(self, record: Mapping[str, Any]) -> None:
        """The inverse of `record`."""
        self.done = int(record["done"])
        self.latents = [np.array(record[f"latents {number}"]) for number in range(len(all_grids()))]
