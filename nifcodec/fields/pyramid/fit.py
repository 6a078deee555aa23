"""Fitting a latent pyramid to a picture: the steps of a training, which can be interrupted and gone on with."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from nifcodec.fields.pyramid.contract import Loss, Step
from nifcodec.fields.pyramid.schedule import Phase, Price
from nifcodec.fields.pyramid.soap import Soap
from nifcodec.fields.pyramid.weights import (
    QuantizedWeights,
    best_steps,
    bit_gradient,
    estimated_bits,
    rounded,
    step_sizes,
    typical_steps,
)

LARGEST_GRADIENT = 0.1  # norm of the mean gradient by the weights
BETA = 0.95  # of SOAP
EPSILON = 1e-8
PROBE, PROBES = 2.0**-10, 4  # how far a curvature is looked for, and along how many directions
LEAST_CURVATURE, TINY = 0.01, 1e-9  # of a tensor's mean; where nothing depends on a tensor


@dataclass(frozen=True)
class State:
    """Weights and latents, and the loss of these latents, rounded.

    Attributes:
        quantized: the weights as integers; None before a training rounds them.
    """

    weights: np.ndarray
    latents: List[np.ndarray]
    loss: Loss
    quantized: Optional[QuantizedWeights] = None


class Training:
    """The training of one picture.

    Args:
        step: what computes; its latents are those to begin with.
        plan: phases.
        start: weights which those of a file are differences from, and to begin with.
        price: of a bit.
        state: where another training of these differences ended, to go on from.

    Attributes:
        best: the state of least loss that was evaluated, once weights are rounded one of these; under a steered price,
            the last one.
        latest: the state that was evaluated last.
        done: steps.
    """

    def __init__(
        self,
        step: Step,
        plan: Sequence[Phase],
        start: np.ndarray,
        price: Price,
        seed: int = 0,
        state: Optional[State] = None,
    ) -> None:
        self._step, self._plan, self.price, self._seed = step, plan, price, seed
        self._phase = self._inside = 0
        self._start = self._weights = start.astype(np.float64)
        self._steps: Optional[Mapping[str, int]] = None
        if state is not None:
            self._weights = state.weights.astype(np.float64)
            step.set_latents(state.latents)
        self._begin_phase()
        self.best = self.latest = self._recorded = self._state()
        self.failed = False

    @property
    def done(self) -> int:
        """Steps."""
        return sum(phase.steps for phase in self._plan[: self._phase]) + self._inside

    @property
    def steps(self) -> int:
        """Of all phases."""
        return sum(phase.steps for phase in self._plan)

    def run(self, tell: Callable[[Loss, bool], None], stopped: Callable[[], bool]) -> None:
        """Goes on to the end, or until it is stopped, or fails.

        Args:
            tell: called after each step with the loss of that step, or with a loss of rounded latents and True.
        """
        while self._phase < len(self._plan) and not self.failed:
            phase = self._plan[self._phase]
            while self._inside < phase.steps:
                if self._steps is None and self._inside >= phase.rounded_from:
                    self._begin_rounding()
                if stopped():
                    self._evaluate(tell)
                    return
                loss = self._one_step(phase)
                if not math.isfinite(loss.at(self.price.value)):
                    self.failed = True
                    break
                self._inside += 1
                last = self._inside == phase.steps
                if last:
                    self._phase, self._inside = self._phase + 1, 0
                    self._begin_phase()
                if last or self._inside % phase.interval == 0:
                    self._evaluate(tell, phase.interval, last)
                    if last:
                        break
                else:
                    tell(loss, False)
        self._take_best()

    def finished(self) -> State:
        """The best state with rounded weights, also where a training was stopped before it rounds."""
        if self.best.quantized is None:
            self._take_best()
            self._begin_rounding()
        return self.best

    def record(self) -> Dict[str, Any]:
        """What a checkpoint keeps, after an evaluation."""
        step, best = self._step, self._recorded
        record: Dict[str, Any] = {f"soap {name}": value for name, value in self._soap.record().items()}
        named = {
            "latents": step.latents(),
            "moments": step.moments(),
            "best latents": best.latents,
        }
        for name, arrays in named.items():
            record.update({f"{name} {number}": array for number, array in enumerate(arrays)})
        return {
            **record,
            "phase": self._phase,
            "inside": self._inside,
            "price": self.price.value,
            "felt price": self.price.felt,
            "weights": self._weights,
            "steps": np.array([] if self._steps is None else [self._steps[name] for name in step.layout.parts]),
            "best weights": best.weights,
            "best error": best.loss.error,
            "best bits": best.loss.bits,
        }

    def restore(self, record: Mapping[str, Any]) -> None:
        """The inverse of `record`."""
        step, grids = self._step, len(self.best.latents)

        def arrays(name: str, count: int) -> List[np.ndarray]:
            return [record[f"{name} {number}"] for number in range(count)]

        self._phase, self._inside = int(record["phase"]), int(record["inside"])
        self.price.value, self.price.felt = float(record["price"]), float(record["felt price"])
        self._weights = record["weights"]
        if len(record["steps"]):
            self._steps = dict(zip(step.layout.parts, np.asarray(record["steps"], int).tolist()))
        self._begin_phase()
        self._soap.restore({name[5:]: value for name, value in record.items() if name.startswith("soap ")})
        step.set_latents(arrays("latents", grids))
        step.set_moments(arrays("moments", 2 * grids))
        loss = Loss(float(record["best error"]), float(record["best bits"]), step.pixels)
        quantized = self._rounded(record["best weights"])
        self.best = self._recorded = State(record["best weights"], arrays("best latents", grids), loss, quantized)

    def _one_step(self, phase: Phase) -> Loss:
        step, inside, price = self._step, self._inside, self.price.value
        if inside == 0:
            step.restart()
        rate = phase.rate(inside)
        quantizer = phase.quantizer(inside, self._seed * len(self._plan) + self._phase)
        loss, gradient = step.step(self._seen()[0], quantizer, price)
        sizes = self._sizes * 2.0 ** phase.softness(inside)
        pulled = phase.pull * bit_gradient(self._weights - self._start, sizes)
        mean = (gradient + price * pulled) / step.pixels
        norm = float(np.sqrt((mean.astype(np.float64) ** 2).sum()))
        direction = self._soap.direction(mean * min(1.0, LARGEST_GRADIENT / max(norm, 1e-30)))
        if inside:  # the first gradient makes the preconditioners
            self._weights = self._weights - rate * direction
            if quantizer is not None:
                _move(step, phase, inside)
        return loss

    def _evaluate(self, tell: Callable[[Loss, bool], None], interval: int = 0, ends: bool = False) -> None:
        """Evaluates, so many steps after the last time; 0 where a training is stopped: it goes on as if it was not."""
        price = self.price.value
        self.latest = self._state()
        loss = self.latest.loss
        better = loss.at(price) < self.best.loss.at(price)
        if better or (self.price.steered and math.isfinite(loss.at(price))):
            self.best = self.latest
        if interval:
            self._recorded = self.best
            weight_bits = estimated_bits(self._weights - self._start, self._sizes)
            self.price.follow(loss, weight_bits, self.done / self.steps, interval)
        if ends:
            self._take_best()
        tell(loss, True)

    def _take_best(self) -> None:
        self._weights = self.best.weights.astype(np.float64)
        self._step.set_latents(self.best.latents)

    def _state(self) -> State:
        weights, quantized = self._seen()
        return State(weights, self._step.latents(), self._step.evaluate(weights), quantized)

    def _seen(self) -> Tuple[np.ndarray, Optional[QuantizedWeights]]:
        """The weights as the networks have them: rounded ones get the gradients of those that they are made of."""
        quantized = self._rounded(self._weights)
        return self._weights.astype(np.float32) if quantized is None else quantized.weights(), quantized

    def _rounded(self, weights: np.ndarray) -> Optional[QuantizedWeights]:
        return None if self._steps is None else rounded(self._step.layout, self._start, self._steps, weights)

    def _begin_rounding(self) -> None:
        layout, price = self._step.layout, self.price.value
        found = curvature(self._step, self._weights, price)
        self._steps = best_steps(layout, found, price)
        self._sizes = step_sizes(layout, self._steps)
        self.best = self.latest = self._recorded = self._state()

    def _begin_phase(self) -> None:
        phase, layout = self._plan[min(self._phase, len(self._plan) - 1)], self._step.layout
        self._soap = Soap(layout.matrices, layout.count, BETA, phase.every)
        self._sizes = step_sizes(layout, self._steps or typical_steps(layout))


def fit_latents(
    step: Step,
    weights: np.ndarray,
    phase: Phase,
    price: float,
    seed: int,
    tell: Callable[[int, Loss], None],
    stopped: Callable[[], bool],
) -> None:
    """Moves the latents alone, from where they are, under the weights of trained networks.

    Args:
        tell: called after each step with the steps so far and the loss.
    """
    step.restart()
    for inside in range(phase.steps):
        if stopped():
            break
        loss, _ = step.step(weights, phase.quantizer(inside, seed), price, learn=False)
        if inside:
            _move(step, phase, inside)
        tell(inside + 1, loss)


def _move(step: Step, phase: Phase, inside: int) -> None:
    epsilon = EPSILON * step.pixels / phase.gain / math.sqrt(1 - phase.betas[1] ** inside)
    step.move(phase.gain * phase.rate(inside), phase.betas, epsilon, inside)


def curvature(step: Step, weights: np.ndarray, price: float, probes: int = PROBES, seed: int = 0) -> np.ndarray:
    """Second derivatives of pixels * loss by each weight under rounded latents, float64; least ones are raised.

    Hutchinson's estimate from differences of gradients along random signs (Bekas et al. 2007).
    """
    random, total = np.random.RandomState(seed), np.zeros(len(weights))
    for _ in range(probes):
        signs = random.choice([-1.0, 1.0], len(weights))
        sides = [step.step((weights + far * signs).astype(np.float32), None, price)[1] for far in (PROBE, -PROBE)]
        total += signs * (sides[0].astype(np.float64) - sides[1]) / (2 * PROBE * probes)
    for part in step.layout.parts.values():
        found = part.of(total)
        np.maximum(found, LEAST_CURVATURE * np.abs(found).mean() + TINY, out=found)
    return total
