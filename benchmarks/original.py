"""Graphcore's neural image fields example, rebuilt from what it does: its network, samples, training and measures.

nifcodec's MLP fields come from that example (graphcore/examples, vision/neural_image_fields/tensorflow2).
Its defects that change a PSNR are switches here (`Defects`, and two colour spaces), so that each can be priced.

Coordinates are (u, v) = (row, column) in [0, 1), colours blue, green, red, as it has them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Callable, Tuple

import numpy as np

import nifcodec.training  # noqa: F401  sets the log level of TensorFlow, before it is imported
from nifcodec.fields.mlp.description import MlpDescription

# Colour spaces of the network's output: kernels of a fixed last layer, which multiplies from the right. "ycocg" is as
# the example has it, a matrix for column vectors that is not transposed, whose rows mix two orders of the chroma axes;
# "true-ycocg" is what it means. Order of the columns: blue, green, red.
KERNELS = {
    "rgb": None,
    "ycocg": ((1, -1, -1), (1, 0, 1), (1, -1, 1)),
    "true-ycocg": ((1, 1, 1), (-1, 0, 1), (-1, 1, -1)),
}
EXECUTIONS = 20  # compiled calls at most that a training is split into, after each of which progress is shown
BAND = 2**15  # positions rendered at a time
# sRGB (IEC 61966-2-1): luminance of linear light in order red, green, blue, as scikit-image has it.
LUMINANCE = (0.212671, 0.715160, 0.072169)


@dataclass(frozen=True)
class Settings:
    """The example's options and their defaults.

    Attributes:
        layers, width: hidden layers, an even number, and their units.
        dimension, sigma: powers of the position encoding and their base.
        batch, learning_rate, huber_delta: of the training; the rate stays the same throughout.
        train_samples: size of the fixed set of random positions that every epoch goes through in the same order.
        colour: one of `KERNELS`.
    """

    layers: int = 6
    width: int = 256
    dimension: int = 10
    sigma: float = 2.0
    batch: int = 512
    learning_rate: float = 1e-3
    huber_delta: float = 1e-3
    train_samples: int = 1_000_000
    colour: str = "rgb"

    @property
    def network(self) -> MlpDescription:
        """The same network as a field of ours."""
        return MlpDescription(
            "fourier", 3, self.width, self.layers, "powers", dimension=self.dimension, sigma=self.sigma
        )


@dataclass(frozen=True)
class Defects:
    """What the example does wrong between a trained network and a PSNR; False puts it right.

    Attributes:
        grid: pixel r of H is rendered at r / H, where training puts it at r / (H - 1).
        order: the reconstruction, in the order blue, green, red, is compared with the picture in red, green, blue.
        lab: the conversion to Lab is given 0 to 255 where it expects 0 to 1.
    """

    grid: bool = True
    order: bool = True
    lab: bool = True


NO_DEFECTS = Defects(False, False, False)


def bilinear(picture: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """(H, W, C) at positions in pixels, 0 to H - 1 and 0 to W - 1, of one shape (n,) -> (n, C)."""
    height, width = picture.shape[:2]
    top, left = rows.astype(int), columns.astype(int)
    down, right = (rows - top)[:, None], (columns - left)[:, None]
    below, beside = np.minimum(top + 1, height - 1), np.minimum(left + 1, width - 1)
    upper = picture[top, left] * (1 - right) + picture[top, beside] * right
    lower = picture[below, left] * (1 - right) + picture[below, beside] * right
    return np.asarray(upper * (1 - down) + lower * down).astype(np.float32)


def random_samples(picture: np.ndarray, count: int, seed: int) -> Tuple[np.ndarray, np.ndarray]:
    """Uniform positions (n, 2) and the bilinear values there (n, C), float32; u of 1 would be the last row."""
    coords = np.random.RandomState(seed).uniform(size=(count, 2)).astype(np.float32)
    height, width = picture.shape[:2]
    return coords, bilinear(picture, coords[:, 0] * np.float32(height - 1), coords[:, 1] * np.float32(width - 1))


def encode_positions(settings: Settings, coords: np.ndarray) -> np.ndarray:
    """(n, 2) -> float32 (n, 4 x dimension): sines, then cosines, of powers of sigma times 2 (u - 1) and 2 (v - 1)."""
    frequencies = settings.sigma ** np.arange(float(settings.dimension))
    shifted = 2.0 * (coords.astype(np.float64) - 1.0)
    angles = np.concatenate([shifted[:, :1] * frequencies, shifted[:, 1:] * frequencies], axis=1)
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(np.float32)


def keras_network(settings: Settings, seed: int = 0) -> Any:
    """The network in Keras, uncompiled: encoded positions -> encoded colours."""
    import tensorflow as tf

    layers, start = tf.keras.layers, tf.keras.initializers
    encoded = tf.keras.Input((settings.network.inputs,))
    hidden = encoded
    for index, layer in enumerate(settings.network.plan()):
        if layer.joins_encoding:
            hidden = layers.Concatenate()([hidden, encoded])
        activation = "relu" if layer.hidden else None
        initial = start.GlorotUniform(seed=100 * seed + index)
        hidden = layers.Dense(layer.units, activation, use_bias=layer.bias, kernel_initializer=initial)(hidden)
    kernel = KERNELS[settings.colour]
    if kernel is not None:
        fixed = start.Constant(np.asarray(kernel, np.float32))
        hidden = layers.Dense(3, use_bias=False, trainable=False, kernel_initializer=fixed)(hidden)
    return tf.keras.Model(encoded, hidden)


def fit_network(
    model: Any,
    settings: Settings,
    samples: Tuple[np.ndarray, np.ndarray],
    steps: int,
    executions: int,
    after: Callable[[], None],
) -> None:
    """Keras `fit` on encoded samples, over and over in their order, by `executions` compiled calls of `steps` steps."""
    import tensorflow as tf

    class AfterEpoch(tf.keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            after()

    model.compile(
        optimizer=tf.keras.optimizers.Adam(settings.learning_rate),
        loss=tf.keras.losses.Huber(delta=settings.huber_delta),
        steps_per_execution=steps,
    )
    data = tf.data.Dataset.from_tensor_slices(samples).batch(settings.batch, drop_remainder=True).cache().repeat()
    model.fit(data, steps_per_epoch=steps, epochs=executions, verbose=0, shuffle=False, callbacks=[AfterEpoch()])


class Field:
    """A picture as the example trains it.

    Args:
        picture: uint8 (H, W, 3), red, green, blue.
        samples: to train on in all, those that come again counted again; `samples` has it in whole batches.
        seed: of the positions and of the weights.
        report: called now and then with the share of the training that is done.
    """

    def __init__(
        self, picture: np.ndarray, settings: Settings, samples: int, seed: int, report: Callable[[float], None]
    ) -> None:
        values = picture[..., ::-1].astype(np.float32)
        self.size = picture.shape[:2]
        self._settings = settings
        self._mean, self._peak = values.mean(axis=(0, 1), dtype=np.float64).astype(np.float32), values.max()
        self.model = keras_network(settings, seed)
        steps = max(samples // settings.batch, 1)
        # All compiled calls take the same number of steps: Keras rounds up otherwise.
        executions = max(count for count in range(1, EXECUTIONS + 1) if steps % count == 0)
        self.samples = steps * settings.batch
        encoded = (values - self._mean) / self._peak
        coords, colours = random_samples(encoded, min(settings.train_samples, self.samples), seed)
        done = [0]

        def after() -> None:
            done[0] += 1
            report(done[0] / executions)

        fit_network(
            self.model, settings, (encode_positions(settings, coords), colours), steps // executions, executions, after
        )

    def render(self, mismatched: bool) -> np.ndarray:
        """Float32 (H, W, 3), red, green, blue, neither clipped nor rounded; `mismatched` is `Defects.grid`."""
        import tensorflow as tf

        rows, columns = pixel_positions(self.size, mismatched)
        compiled = tf.function(self.model)
        band = max(BAND // len(columns), 1)
        parts = []
        for top in range(0, len(rows), band):
            u, v = np.meshgrid(rows[top : top + band], columns, indexing="ij")
            encoded = encode_positions(self._settings, np.stack([u.ravel(), v.ravel()], axis=1))
            parts.append(compiled(tf.constant(encoded)).numpy() * self._peak + self._mean)
        return np.concatenate(parts).reshape(*self.size, 3)[..., ::-1]


def pixel_positions(size: Tuple[int, int], mismatched: bool) -> Tuple[np.ndarray, np.ndarray]:
    """Where the pixels of a picture of (height, width) are rendered: u of the rows, v of the columns, float64."""
    lengths = [side if mismatched else max(side - 1, 1) for side in size]
    return np.arange(size[0]) / lengths[0], np.arange(size[1]) / lengths[1]


def perfect_render(picture: np.ndarray, mismatched: bool) -> np.ndarray:
    """What `Field.render` would give if the network had learnt its samples without error: the picture, interpolated."""
    values = picture.astype(np.float32)
    height, width = picture.shape[:2]
    rows, columns = pixel_positions((height, width), mismatched)
    across = np.repeat((columns * (width - 1))[None], height, axis=0).ravel()
    return bilinear(values, np.repeat(rows * (height - 1), width), across).reshape(picture.shape)


def own_measures(picture: np.ndarray, rendered: np.ndarray, defects: Defects) -> Tuple[float, float]:
    """PSNR of RGB and PSNR of lightness in dB as the example takes them: of floats, with the picture's largest as peak.

    Args:
        picture, rendered: (H, W, 3), red, green, blue, 0 to 255; `rendered` need not be within.
    """
    compared = rendered[..., ::-1] if defects.order else rendered
    scale = 1.0 if defects.lab else 255.0
    first, second = picture.astype(np.float64), compared.astype(np.float64)
    return _psnr(first, second), _psnr(lightness(first / scale), lightness(second / scale))


def _psnr(first: np.ndarray, second: np.ndarray) -> float:
    error = float(np.mean(np.square(first - second)))
    return math.inf if error == 0 else 10 * math.log10(float(first.max()) ** 2 / error)


def lightness(rgb: np.ndarray) -> np.ndarray:
    """L of CIE 1976 L*a*b*, white D65, of sRGB (..., 3) in 0..1 -> (...), 0..100; no clipping."""
    linear = np.where(rgb > 0.04045, (np.maximum(rgb, 0.0) + 0.055) / 1.055, 0.0) ** 2.4
    luminance = np.where(rgb > 0.04045, linear, rgb / 12.92) @ np.asarray(LUMINANCE)
    return np.asarray(116 * np.where(luminance > 0.008856, np.cbrt(luminance), 7.787 * luminance + 16 / 116) - 16)
