"""A step of training a latent pyramid (`step.Pyramid`) on the devices of TensorFlow.

Latents, their moments and their gradient stay on the device; weights go there and their gradient comes back each step.
"""

from __future__ import annotations

from typing import List, Optional, Sequence, Tuple

import numpy as np
import tensorflow as tf

from nifcodec.config import EncodeConfig
from nifcodec.errors import DeviceError
from nifcodec.fields.pyramid.contract import Loss, Quantizer, costs_of
from nifcodec.fields.pyramid.grids import LEVELS, all_grids
from nifcodec.fields.pyramid.networks import HIDDEN, UNITS, layout
from nifcodec.fields.pyramid.together import SHARE, TOGETHER_FROM, inverses_of, weights_of
from nifcodec.fields.pyramid.training.networks import (
    bits,
    grids_of,
    hard_round,
    limited,
    named,
    soft_round,
    synthesis,
    together,
    upsampled,
)
from nifcodec.training.devices.base import Device, Placement, Tensors
from nifcodec.training.devices.open import open_device
from nifcodec.training.memory import TRANSIENT, use_of

# All latents, one grid behind the other; first and second moments, the gradient; the picture (H, W, colours); what
# maps of it are made with, (LEVELS, weights, weights).
State = Tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]
LATENTS, MOMENT, SQUARE, TARGET = 0, 1, 2, 4

# Corrected rate, betas, epsilon and factor of the squares of a step of Adam that changes nothing, and what is added
# again of what latents do together.
STILL = np.array([0, 1, 1, 1, 1, 0], np.float32)


def open_device_pyramid(picture: np.ndarray, white: float, config: EncodeConfig) -> "DevicePyramid":
    """A `DevicePyramid` on the device that a configuration asks for.

    Raises:
        ConfigError: several replicas are asked for.
        DeviceError: the device is not there, or its memory is too small for the picture.
        MissingDependencyError: it needs another TensorFlow.
    """
    return DevicePyramid(picture, white, open_device(Placement(config.device, config.replicas, independent=True)))


def step_bytes(height: int, width: int, colours: int) -> int:
    """Estimated bytes of a device's memory that a step takes."""
    latents = sum(rows * columns for rows, columns in (grid.size(height, width) for grid in all_grids()))
    kept = 4 * latents + colours * height * width + LEVELS * weights_of(colours) ** 2
    # Of each layer its input and the value before its ReLU.
    entropy, picture = 5 * UNITS + 2, 2 * LEVELS + 2 * HIDDEN + 8 * colours
    return int(4 * (kept + TRANSIENT * (latents * entropy + height * width * picture)))


class DevicePyramid:
    """The latents of a picture, and a step of training them: a `contract.Step`.

    Args:
        picture: float32 (H, W, 1..4) of 0..1.
        white: the largest integer of its samples: `evaluate` rounds to these.
        device: where it trains.

    Attributes:
        layout: of the weights.
        pixels: of the picture.
        placement: on what it runs, for people.

    Raises:
        ConfigError: the device has several replicas.
        DeviceError: its memory is too small for the picture.
    """

    def __init__(self, picture: np.ndarray, white: float, device: Device) -> None:
        height, width, colours = picture.shape
        self.layout, self.pixels = layout(colours), height * width
        self._size, self._white = (height, width), white
        self._sizes = [grid.size(height, width) for grid in all_grids()]
        needed = step_bytes(height, width, colours)
        if device.memory is not None and needed > device.memory:
            raise DeviceError(
                f"a picture of {width}x{height} pixels takes {needed / 1e6:.1f} MB, and the device has "
                f"{device.memory / 1e6:.1f}"
            )
        self.placement = f"{device.label}, {width}x{height} pixels" + use_of(needed, device.memory)
        self._counts = [rows * columns for rows, columns in self._sizes]
        zeros = np.zeros(sum(self._counts), np.float32)
        self._held = device.hold((zeros, zeros, zeros, zeros, picture.astype(np.float32), inverses_of(picture)))
        self._soft, self._hard = self._held.program(self.soft_step), self._held.program(self.hard_step)
        self._evaluate, self._move = self._held.program(self.evaluation), self._held.program(self.movement)
        # A move waits for the next program, which begins with it: an IPU would load two in turn otherwise.
        self._waiting = STILL
        self._target, self._picture = picture, np.zeros_like(picture)
        self._gradient = zeros  # by rounded latents

    def step(
        self, weights: np.ndarray, quantizer: Optional[Quantizer], price: float, learn: bool = True
    ) -> Tuple[Loss, np.ndarray]:
        """As `contract.Step.step`; the gradient has all parts."""
        given = (self._taken(), weights, np.float32(price))
        if quantizer is None:
            squares, found, gradient, self._gradient = self._hard(*given)
        else:
            sharpness = 1 / np.array([quantizer.temperature_of(grid) for grid in all_grids()])
            rounding = np.stack([sharpness, 0.5 / np.tanh(0.5 * sharpness)]).astype(np.float32)
            # Devices draw different numbers from one seed.
            noise = np.random.default_rng(quantizer.seed).standard_normal(sum(self._counts), np.float32)
            noise *= np.float32(quantizer.deviation)
            squares, found, gradient = self._soft(*given, noise, rounding)
        return self._loss(squares, found), gradient

    def evaluate(self, weights: np.ndarray) -> Loss:
        """As `contract.Step.evaluate`."""
        squares, found, self._picture = self._evaluate(self._taken(), weights)
        return self._loss(squares, found)

    def costs(self, weights: np.ndarray, price: float) -> np.ndarray:
        """As `contract.Step.costs`."""
        _, found, self._picture = self._evaluate(self._taken(), weights)
        return costs_of(np.square(self._picture - self._target).mean(axis=2), self._split(found), price)

    def gradients(self) -> List[np.ndarray]:
        """As `contract.Step.gradients`, of a step of rounded latents alone."""
        return self._split(self._gradient)

    def move(self, rate: float, betas: Tuple[float, float], epsilon: float, step: int) -> None:
        """As `contract.Step.move`."""
        self._finish()
        corrections = 1 - betas[0] ** step, 1 - betas[1] ** step
        share = SHARE if step >= TOGETHER_FROM else 0.0
        self._waiting = np.array([rate / corrections[0], *betas, epsilon, 1 / corrections[1], share], np.float32)

    def latents(self) -> List[np.ndarray]:
        """Of all grids, finest first, float32 (rows, columns), not rounded: copies."""
        return self._read(LATENTS)

    def set_latents(self, values: Sequence[np.ndarray]) -> None:
        """The inverse of `latents`."""
        self._write(LATENTS, values)

    def moments(self) -> List[np.ndarray]:
        """Of Adam: copies of the first ones of all grids as `latents` has them, then of the second ones."""
        return self._read(MOMENT) + self._read(SQUARE)

    def set_moments(self, values: Sequence[np.ndarray]) -> None:
        """The inverse of `moments`."""
        self._write(MOMENT, values[: len(self._sizes)])
        self._write(SQUARE, values[len(self._sizes) :])

    def restart(self) -> None:
        """Forgets the moments of Adam."""
        self._finish()
        for number in (MOMENT, SQUARE):
            self._held.write(number, np.zeros(sum(self._counts), np.float32))

    def picture(self) -> np.ndarray:
        """What the last `evaluate` made, float32 (H, W, C)."""
        return self._picture

    def soft_step(
        self,
        state: State,
        move: tf.Tensor,
        weights: tf.Tensor,
        price: tf.Tensor,
        noise: tf.Tensor,
        rounding: tf.Tensor,
    ) -> Tuple[Tensors, Tensors]:
        """A move, then the gradients of a step under soft rounding: a pure function.

        Args:
            move: as STILL, (6,).
            weights: (layout.count,).
            price: of a bit, ().
            noise: what is added to each latent between two soft roundings.
            rounding: sharpness and scale of `soft_round` for each grid, (2, grids).

        Returns:
            The new state; sums of squared errors, of bits, a row of a grid each; the gradient by the weights.
        """
        (latents, moment, square, _, target, inverses), _ = self.movement(state, move)
        sharpness, scale = self._spread(rounding[0]), self._spread(rounding[1])
        once, first = soft_round(latents, sharpness, scale)
        twice, second = soft_round(once + noise, sharpness, scale)
        results, gradient = self._gradients(twice, weights, price, target)
        return (latents, moment, square, gradient * (first * second), target, inverses), results

    def hard_step(self, state: State, move: tf.Tensor, weights: tf.Tensor, price: tf.Tensor) -> Tuple[Tensors, Tensors]:
        """As `soft_step`, of rounded latents: the gradient by these is a result more, and that of the state is zero."""
        (latents, moment, square, gradient, target, inverses), _ = self.movement(state, move)
        results, by_rounded = self._gradients(hard_round(latents), weights, price, target)
        return (latents, moment, square, tf.zeros_like(gradient), target, inverses), (*results, by_rounded)

    def evaluation(self, state: State, move: tf.Tensor, weights: tf.Tensor) -> Tuple[Tensors, Tensors]:
        """A move; sums of squared errors as of `soft_step`, bits of all latents, rounded, and the picture."""
        moved, _ = self.movement(state, move)
        parts = named(self.layout, weights)
        grids = grids_of(hard_round(moved[LATENTS]), *self._size)
        picture = limited(synthesis(parts, upsampled(parts, grids)))
        picture = hard_round(picture * self._white) * (1 / self._white)
        squares = tf.reduce_sum(tf.square(picture - moved[TARGET]), axis=[1, 2])
        return moved, (squares, bits(parts, grids), picture)

    def movement(self, state: State, move: tf.Tensor) -> Tuple[Tensors, Tensors]:
        """A step of Adam on the latents, and what they do together in it."""
        latents, moment, square, gradient, target, inverses = state
        rate, beta1, beta2, epsilon, scale, share = (move[number] for number in range(6))
        moment = moment * beta1 + gradient * (1.0 - beta1)
        square = square * beta2 + tf.square(gradient) * (1.0 - beta2)
        moves = -rate * moment / (tf.sqrt(square * scale) + epsilon)
        shared = together(target, inverses, grids_of(moves, *self._size))
        latents += moves + share * tf.concat([tf.reshape(each, [-1]) for each in shared], axis=0)
        return (latents, moment, square, gradient, target, inverses), ()

    def _gradients(
        self, latents: tf.Tensor, weights: tf.Tensor, price: tf.Tensor, target: tf.Tensor
    ) -> Tuple[Tensors, tf.Tensor]:
        """Sums of squares and bits and the gradient by the weights; that by the latents as the networks see them."""
        parts, grids = named(self.layout, weights), grids_of(latents, *self._size)
        sources = [*parts.values(), *grids]
        with tf.GradientTape() as tape:
            tape.watch(sources)
            off = limited(synthesis(parts, upsampled(parts, grids))) - target
            squares, found = tf.square(off), bits(parts, grids)
            loss = tf.reduce_sum(squares) / self.layout.colours + price * tf.reduce_sum(found)
        flat = [tf.reshape(gradient, [-1]) for gradient in tape.gradient(loss, sources)]
        # The weights' tensors lie one behind the other, as do the grids.
        by_weights, by_latents = tf.concat(flat[: len(parts)], axis=0), tf.concat(flat[len(parts) :], axis=0)
        return (tf.reduce_sum(squares, axis=[1, 2]), self._rows(found), by_weights), by_latents

    def _spread(self, values: tf.Tensor) -> tf.Tensor:
        """A value of each grid, for each of its latents."""
        return tf.concat([tf.broadcast_to(values[at], [count]) for at, count in enumerate(self._counts)], axis=0)

    def _rows(self, values: tf.Tensor) -> tf.Tensor:
        """Sums over the rows of all grids: the host adds these up in double precision."""
        return tf.concat([tf.reduce_sum(grid, axis=1) for grid in grids_of(values, *self._size)], axis=0)

    def _loss(self, squares: np.ndarray, found: np.ndarray) -> Loss:
        error = float(squares.sum(dtype=np.float64)) / (self.layout.colours * self.pixels)
        return Loss(error, float(found.sum(dtype=np.float64)), self.pixels)

    def _taken(self) -> np.ndarray:
        """The move that waits, which the caller makes."""
        move, self._waiting = self._waiting, STILL
        return move

    def _read(self, number: int) -> List[np.ndarray]:
        self._finish()
        return self._split(self._held.read(number))

    def _split(self, flat: np.ndarray) -> List[np.ndarray]:
        """Of values of all latents, copies by grid."""
        ends = np.cumsum(self._counts)[:-1]
        return [part.reshape(size).copy() for part, size in zip(np.split(flat, ends), self._sizes)]

    def _write(self, number: int, values: Sequence[np.ndarray]) -> None:
        self._finish()
        self._held.write(number, np.concatenate([each.ravel() for each in values]).astype(np.float32))

    def _finish(self) -> None:
        if self._waiting is not STILL:
            self._move(self._taken())
