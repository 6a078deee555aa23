"""A picture as a pyramid: latents and networks trained for the goal, weights quantized, latents coded."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from functools import partial
from typing import Callable, Dict, List, Optional, Tuple

import numpy as np

from nifcodec.config import DEFAULT_QUALITY, EncodeConfig
from nifcodec.errors import LimitError, TrainingError
from nifcodec.fields.checkpoint import Checkpoint
from nifcodec.fields.detail import networks
from nifcodec.fields.detail.reference import DetailReference
from nifcodec.fields.hooks import Hooks
from nifcodec.fields.job import CodedField, EncodeJob, Goal
from nifcodec.fields.lattice_options import LARGEST_WHOLE
from nifcodec.fields.parts import CodedPart, pack_index, pack_parts
from nifcodec.fields.pyramid import priors
from nifcodec.fields.pyramid.bitstream import encode_part
from nifcodec.fields.pyramid.contract import Loss, Step, rounded_latents
from nifcodec.fields.pyramid.corrections import nearest_to_goal
from nifcodec.fields.pyramid.description import FAMILY_ID, PyramidDescription
from nifcodec.fields.pyramid.fit import State, Training
from nifcodec.fields.pyramid.flips import flipped
from nifcodec.fields.pyramid.grids import Grid, all_grids
from nifcodec.fields.pyramid.integer_network import IntegerNetwork
from nifcodec.fields.pyramid.large import LargePicture
from nifcodec.fields.pyramid.options import PyramidOptions
from nifcodec.fields.pyramid.schedule import Phase, Price, correction, latents_alone, phases, rounds
from nifcodec.fields.pyramid.step import Pyramid
from nifcodec.fields.pyramid.synthesis import sample
from nifcodec.fields.pyramid.tiling import Tiling
from nifcodec.fields.rate_control import excess_of, quality_price
from nifcodec.native import library
from nifcodec.native.pyramid import NativePyramid
from nifcodec.picture.colour import white
from nifcodec.picture.metrics import estimated_psnr
from nifcodec.picture.signal import Signal
from nifcodec.threads import in_threads

STEPS = (100, 150, 250, 350, 500, 1000, 2000, 4000, 12000)  # efforts 1 to 9
FLOAT_WHITE = 65535.0  # a float picture's loss is that of codes of 16 bits
STEP_PER_ROOT_PRICE = 5.0  # the step of a wavelet field of the same price, for the detail network
REPORTED = 0.5  # seconds between two reports


def encode(signal: Signal, goal: Goal, config: EncodeConfig, hooks: Hooks) -> CodedField:
    """The pyramid that meets the goal, trained as far as the effort goes.

    Raises MissingDependencyError, ConfigError, TrainingError.
    """
    job = EncodeJob(signal, goal, config, hooks)
    checkpoint = job.open_checkpoint()
    encoder = _Encoder(job, *_open_step(job))
    price = encoder.first_price()
    training = encoder.train(price, checkpoint)
    state = encoder.everywhere(training.finished(), price.value, checkpoint)
    coded = encoder.packed(encoder.settled(state, price.value), price.value, training.done)
    if goal.is_quality:
        return coded
    return encoder.corrected(coded, state, price, training.done)


def _open_step(job: EncodeJob) -> Tuple[Step, str, Optional[LargePicture]]:
    """What computes losses and gradients, and where, in words: the native library, or else TensorFlow.

    Of a large picture the library has the step of a sample, and the picture beside it.

    Raises MissingDependencyError, ConfigError, DeviceError.
    """
    signal, config, loaded = job.signal, job.config, library.load()
    largest = FLOAT_WHITE if signal.depth == 32 else white(signal.samples.dtype)
    if loaded is not None and config.device in ("auto", "cpu") and config.replicas in (None, 1):
        native, picture = NativePyramid(loaded), signal.values()
        large = LargePicture(native, picture, largest) if signal.pixels > LARGEST_WHOLE else None
        return Pyramid(native, picture if large is None else large.sample, largest), "CPU", large
    job.start_training()
    from nifcodec.fields.pyramid.training.device_pyramid import open_device_pyramid

    device = open_device_pyramid(signal.values(), largest, config)
    return device, device.placement, None


class _Encoder:
    """What trains and codes one picture."""

    def __init__(self, job: EncodeJob, step: Step, placement: str, large: Optional[LargePicture]) -> None:
        self._job, self._step, self._placement, self._large = job, step, placement, large
        signal = job.signal
        options: PyramidOptions = job.config.options or PyramidOptions()
        self._prior = priors.named()
        self._exponent = options.exponent_for(signal.pixels)
        self._tiling = Tiling(signal.width, signal.height, self._exponent)
        self._number = 0  # of the prior's start

    def first_price(self) -> Price:
        """The price of the goal's quality, or a guess that is steered to the goal."""
        goal, depth = self._job.goal, self._job.signal.depth
        if goal.is_quality:
            return Price(quality_price(goal.quality, depth))
        if goal.psnr is not None:
            guess = 10 ** (-goal.psnr / 10)  # a bit a pixel halves the error, roughly
        else:
            assert goal.target_bytes is not None
            bpp = 8 * goal.target_bytes / self._job.signal.pixels
            guess = quality_price(DEFAULT_QUALITY) * bpp**-2.5
        return Price(min(max(guess, 1e-9), 1.0), self._excess)

    def train(self, price: Price, checkpoint: Optional[Checkpoint]) -> Training:
        """Runs the phases of the effort, or goes on with those of a checkpoint."""
        config = self._job.config
        self._number = self._prior.nearest(price.value)
        picture = self._job.signal.values() if self._large is None else self._large.sample
        self._step.set_latents(self._prior.latents(self._number, picture))
        training = Training(self._step, phases(self._steps), self._start, price, config.seed)
        record = None if checkpoint is None else checkpoint.load("pyramid/training")
        if record is not None:
            training.restore(record)
        self._run(training, "train", checkpoint)
        if not math.isfinite(training.best.loss.at(price.value)):
            raise TrainingError("the training of the pyramid diverged: use --field wavelet")
        return training

    @property
    def _steps(self) -> int:
        """Of the training."""
        config = self._job.config
        return STEPS[config.effort - 1] if config.steps is None else config.steps

    @property
    def _start(self) -> np.ndarray:
        """The weights to begin with, which those of the file are differences from."""
        return self._prior.weights(self._number, self._step.layout)

    def everywhere(self, state: State, price: float, checkpoint: Optional[Checkpoint]) -> State:
        """Of a state of the sample of a large picture, that of all of it; any other is what it is."""
        large = self._large
        if large is None:
            return state
        record = None if checkpoint is None else checkpoint.load("pyramid/latents")
        if record is None:
            large.begin(state.latents, self._prior.starts[self._number].maps)
        else:
            large.restore(record)

        def fitted(loss: Loss) -> None:
            if checkpoint is not None:
                checkpoint.save("pyramid/latents", large.record())
            if self._job.hooks.watch is not None:
                field = partial(self._samples, replace(state, latents=large.latents))
                self._job.hooks.watch(large.done, self._scalars(loss, price), field)

        self._fit_windows(state, latents_alone(self._steps), price, 0, "latents", fitted)
        if checkpoint is not None:
            checkpoint.flush()
        return replace(state, latents=[each.copy() for each in large.latents])

    def corrected(self, coded: CodedField, state: State, price: Price, steps: int) -> CodedField:
        """The nearest to the goal of what is coded, and of it trained on at other prices."""
        plan = [correction(steps)]

        def again(there: float, attempt: int) -> CodedField:
            return self.packed(self.settled(self._again(state, plan, there, attempt), there), there, steps)

        return nearest_to_goal(self._job, coded, price.value, again)

    def _again(self, state: State, plan: List[Phase], price: float, attempt: int) -> State:
        """A state, trained on at another price."""
        if self._large is None:
            training = Training(self._step, plan, self._start, Price(price), attempt, state)
            self._run(training, "search", None)
            return training.latest
        self._large.latents, self._large.done = [each.copy() for each in state.latents], 0
        self._fit_windows(state, plan[0], price, attempt, "search")
        return replace(state, latents=self._large.latents)

    def _fit_windows(
        self,
        state: State,
        phase: Phase,
        price: float,
        seed: int,
        stage: str,
        fitted: Optional[Callable[[Loss], None]] = None,
    ) -> None:
        assert self._large is not None
        hooks, began, told, large = self._job.hooks, time.monotonic(), 0.0, self._large

        def tell(done: int, loss: Loss) -> None:
            nonlocal told
            if time.monotonic() - told >= REPORTED:
                steps = len(large.windows) * phase.steps
                hooks.report(stage, done, steps, began, self._scalars(loss, price))
                told = time.monotonic()

        large.fit(state.weights, phase, price, seed, rounds(self._steps), tell, hooks.interrupted, fitted)

    def _run(self, training: Training, stage: str, checkpoint: Optional[Checkpoint]) -> None:
        hooks, began, told = self._job.hooks, time.monotonic(), 0.0

        def tell(loss: Loss, evaluated: bool) -> None:
            nonlocal told
            now = time.monotonic()
            if evaluated or now - told >= REPORTED:
                hooks.report(stage, training.done, training.steps, began, self._scalars(loss, training.price.value))
                told = now
            if evaluated and checkpoint is not None:
                checkpoint.save("pyramid/training", training.record())
            if evaluated and hooks.watch is not None and self._large is None:
                field = partial(self._samples, training.best)
                hooks.watch(training.done, self._scalars(loss, training.price.value), field)

        training.run(tell, hooks.interrupted)
        if checkpoint is not None:
            checkpoint.flush()

    def _scalars(self, loss: Loss, price: float) -> Dict[str, float]:
        return {
            "loss": loss.at(price),
            "distortion": loss.error,
            "rate": loss.bits,
            "psnr": estimated_psnr(loss.error),
            "bits_per_pixel": loss.bits / loss.pixels,
            "price": price,
        }

    def settled(self, state: State, price: float) -> State:
        """A state with better integers; a large picture's windows have them already."""
        if self._large is not None:
            return state
        return flipped(self._step, state, price, rounds(self._steps), self._job.hooks.interrupted)

    def _samples(self, best: State) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
        """The field of a state, as something to sample in another process."""
        signal = self._job.signal
        return partial(sample, signal.channels, best.weights, _integers(best.latents), (signal.width, signal.height))

    def _excess(self, loss: Loss, weight_bits: float) -> float:
        """Of a file of this loss, of the picture or of its sample, about."""
        bits = loss.bits * self._job.signal.pixels / loss.pixels
        size = self._job.goal.overhead + (bits + weight_bits) / 8
        return excess_of(self._job.goal, size, lambda: estimated_psnr(loss.error))

    def packed(self, state: State, price: float, steps: int) -> CodedField:
        """A state of rounded weights as weights, root and tiles, and the index of these where there are tiles.

        Raises TrainingError.
        """
        assert state.quantized is not None
        try:
            network = IntegerNetwork.of(self._step.layout, state.weights)
        except LimitError as error:
            raise TrainingError("the pyramid's weights grew beyond what a file holds: use --field wavelet") from error
        grids, tiling = _integers(state.latents), self._tiling
        root = tiling.root
        known = {grid: grids[grid] for grid in root.grids}

        def tile(number: int) -> CodedPart:
            part = tiling.tile(number)
            return encode_part(network, part.of({grid: grids[grid] for grid in part.grids}), part.of(known))

        parts = [CodedPart(state.quantized.pack()), encode_part(network, known, {})]
        parts += in_threads(tile, range(tiling.count))
        index = pack_index(parts) if tiling.count else b""
        detail = DetailReference.of(networks.named().hash, STEP_PER_ROOT_PRICE * math.sqrt(price))
        spec = PyramidDescription(self._prior.hash, self._number, self._exponent, detail)
        return CodedField(FAMILY_ID, spec.pack(), pack_parts(parts), steps, self._placement, index)


def _integers(latents: List[np.ndarray]) -> "Dict[Grid, np.ndarray]":
    return {grid: values.astype(np.int32) for grid, values in zip(all_grids(), rounded_latents(latents))}
