"""The networks of a latent pyramid as TensorFlow operations, with the arithmetic of the native library.

Static shapes and float32 only, no gather: devices compile them as they are. Planes are (count, rows, columns), what
layers give is (samples, units); weights are tensors by the names of `networks.Layout`.
"""

from __future__ import annotations

from typing import Dict, List, Optional, Sequence, Tuple

import numpy as np
import tensorflow as tf

from nifcodec.fields.pyramid.first_latents import GREY
from nifcodec.fields.pyramid.grids import FEATURED_LEVELS, FEATURES, GROUPS, LEVELS, NEIGHBOURS, Grid, all_grids
from nifcodec.fields.pyramid.networks import TAPS, UNITS, Layout, coarser_grids
from nifcodec.fields.pyramid.together import has_map, map_colours
from nifcodec.native.pyramid import AROUND, AROUND_SIDE

Weights = Dict[str, tf.Tensor]

LARGEST_LOG_SCALE = 5.0
LEAST_MASS = 2.0**-16  # below it a latent takes 16 bits, whatever its mean and scale
BITS = 1.44269504  # in a natural logarithm

# (places, taps): products with taps are what stands at each place of a line.
FILTER = np.eye(TAPS, dtype=np.float32)[[3, 2, 1, 0, 1, 2, 3]]
EVEN = np.eye(TAPS + 1, TAPS, dtype=np.float32)
ODD = np.ascontiguousarray(EVEN[::-1])


def named(layout: Layout, flat: tf.Tensor) -> Weights:
    """All weights, (layout.count,), as tensors."""
    parts = layout.parts.values()
    tensors = tf.split(flat, [part.end - part.start for part in parts])
    return {part.name: tf.reshape(tensor, part.shape) for part, tensor in zip(parts, tensors)}


def grids_of(flat: tf.Tensor, height: int, width: int) -> List[tf.Tensor]:
    """The latents of all grids, one behind the other, as grids of a picture's size: (rows, columns), finest first."""
    sizes = [grid.size(height, width) for grid in all_grids()]
    parts = tf.split(flat, [rows * columns for rows, columns in sizes])
    return [tf.reshape(part, size) for part, size in zip(parts, sizes)]


def soft_round(values: tf.Tensor, sharpness: tf.Tensor, scale: tf.Tensor) -> Tuple[tf.Tensor, tf.Tensor]:
    """floor(v) + 1/2 + scale * tanh(sharpness * (v - floor(v) - 1/2)), and its derivative."""
    whole = tf.floor(values)
    curve = tf.tanh((values - whole - 0.5) * sharpness)
    return whole + curve * scale + 0.5, (1.0 - tf.square(curve)) * (scale * sharpness)


def hard_round(values: tf.Tensor) -> tf.Tensor:
    """To integers, halves up."""
    return tf.floor(values + 0.5)


def bits(weights: Weights, latents: Sequence[tf.Tensor]) -> tf.Tensor:
    """Of each latent of all grids under its group's entropy network, one grid behind the other."""
    features = _features(weights, latents)
    inputs = [_inputs(plane, features.get(grid)) for grid, plane in zip(all_grids(), latents)]
    found: Dict[int, tf.Tensor] = {}
    for group in range(GROUPS):
        members = [number for number, grid in enumerate(all_grids()) if grid.group == group]
        values = [tf.reshape(latents[number], [-1]) for number in members]
        mean, log_scale = _contexts(weights, group, tf.concat([inputs[number] for number in members], axis=1))
        counted = _laplace_bits(tf.concat(values, axis=0), mean, log_scale)
        found.update(zip(members, tf.split(counted, [part.shape[0] for part in values])))
    return tf.concat([found[number] for number in range(len(latents))], axis=0)


def _contexts(weights: Weights, group: int, inputs: tf.Tensor) -> Tuple[tf.Tensor, tf.Tensor]:
    """Means and logarithms of scales under a group's network, of inputs (UNITS, latents)."""
    own = f"entropy {group}"
    # A residual layer is one product.
    first, second = (weights[f"{own} {name}"] + np.eye(UNITS, dtype=np.float32) for name in ("first", "second"))
    hidden = tf.nn.relu(_first_layer(inputs, first, weights[f"{own} first bias"]))
    hidden = tf.nn.relu(_layer(hidden, second, weights[f"{own} second bias"]))
    out = _layer(hidden, weights[f"{own} last"], weights[f"{own} last bias"])
    out += tf.linalg.matmul(inputs, weights[f"{own} linear"], transpose_a=True, transpose_b=True)
    mean, log_scale = tf.unstack(out, axis=1)
    return mean, log_scale


def upsampled(weights: Weights, latents: Sequence[tf.Tensor]) -> tf.Tensor:
    """The picture's grids at its size, (LEVELS, H, W), finest first."""
    seen = [plane[None] for grid, plane in zip(all_grids(), latents) if not grid.hyper]
    planes = seen[-1]
    for level in range(LEVELS - 2, -1, -1):
        own = _filtered(weights[f"filter {level}"], seen[level])
        height, width = own.shape[1:]
        doubled = _doubled(weights[f"double {level}"], planes)[:, :height, :width]
        planes = tf.concat([own, doubled], axis=0)
    return planes


def synthesis(weights: Weights, planes: tf.Tensor) -> tf.Tensor:
    """The picture (H, W, colours) of the grids at its size."""
    grids, height, width = planes.shape
    inputs = tf.reshape(planes, [grids, height * width])
    hidden, colours, linear = (
        (weights[f"synthesis {name}"], weights[f"synthesis {name} bias"]) for name in ("hidden", "colours", "linear")
    )
    mixed = _layer(tf.nn.relu(_first_layer(inputs, *hidden)), *colours)
    mixed = _convolved(weights, "first", tf.reshape(mixed, [1, height, width, -1]))
    mixed = _convolved(weights, "second", tf.nn.relu(mixed))
    return mixed[0] + tf.reshape(_first_layer(inputs, *linear), [height, width, -1])


def limited(picture: tf.Tensor) -> tf.Tensor:
    """Within 0 to 1, as a decoded picture is; what is beyond has the gradient at the limit, so that it comes back."""
    return picture + tf.stop_gradient(tf.clip_by_value(picture, 0.0, 1.0) - picture)


def together(picture: tf.Tensor, inverses: tf.Tensor, moves: Sequence[tf.Tensor]) -> List[tf.Tensor]:
    """What latents do together in moves of all grids, (rows, columns) each, without its share (`together.py`).

    Args:
        picture: (H, W, 1..4).
        inverses: of the levels, (LEVELS, weights, weights).
    """
    height, width, colours = picture.shape
    level, near = picture[..., : map_colours(colours)] - GREY, {}
    for number in range(LEVELS):
        near[number] = _repeated(_repeated(level[None], 1, AROUND), 2, AROUND)
        level = _halved(level)
    found = []
    for grid, plane in zip(all_grids(), moves):
        if not has_map(grid, height, width):
            found.append(tf.zeros_like(plane))
            continue
        around, size = near[grid.level], (AROUND_SIDE, AROUND_SIDE)
        sums = tf.compat.v1.nn.conv2d_backprop_filter(
            around, [*size, around.shape[3], 1], plane[None, :, :, None], strides=[1, 1, 1, 1], padding="VALID"
        )
        sums = tf.concat([tf.reshape(tf.transpose(sums, [2, 0, 1, 3]), [-1]), tf.reduce_sum(plane)[None]], axis=0)
        weights = tf.linalg.matvec(inverses[grid.level], sums)
        kernel = tf.transpose(tf.reshape(weights[:-1], [around.shape[3], *size, 1]), [1, 2, 0, 3])
        found.append(tf.nn.conv2d(around, kernel, strides=1, padding="VALID")[0, :, :, 0] + weights[-1])
    return found


def _halved(plane: tf.Tensor) -> tf.Tensor:
    """Means of 2x2 of (H, W, C), an odd last row or column repeated."""
    height, width, colours = plane.shape
    plane = tf.concat([plane, plane[-1:]], axis=0) if height % 2 else plane
    plane = tf.concat([plane, plane[:, -1:]], axis=1) if width % 2 else plane
    return tf.reduce_mean(tf.reshape(plane, [(height + 1) // 2, 2, (width + 1) // 2, 2, colours]), axis=[1, 3])


def _first_layer(inputs: tf.Tensor, matrix: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
    """(in, samples) of planes -> (samples, out). matrix: (out, in)."""
    return tf.nn.bias_add(tf.linalg.matmul(inputs, matrix, transpose_a=True, transpose_b=True), bias)


def _layer(samples: tf.Tensor, matrix: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
    """(samples, in) -> (samples, out). matrix: (out, in)."""
    return tf.nn.bias_add(tf.linalg.matmul(samples, matrix, transpose_b=True), bias)


def _inputs(plane: tf.Tensor, features: Optional[tf.Tensor]) -> tf.Tensor:
    """What the entropy network sees of each latent of a grid: its neighbours and features, (UNITS, latents)."""
    height, width = plane.shape
    (top, left), right = -NEIGHBOURS.min(axis=1), NEIGHBOURS[1].max()
    around = tf.pad(plane, [[top, 0], [left, right]])
    corners = [(top + down, left + right) for down, right in NEIGHBOURS.T.tolist()]
    neighbours = tf.stack([around[y : y + height, x : x + width] for y, x in corners])
    if features is None:
        features = tf.zeros([FEATURES, height, width])
    return tf.reshape(tf.concat([neighbours, features], axis=0), [UNITS, height * width])


def _features(weights: Weights, latents: Sequence[tf.Tensor]) -> Dict[Grid, tf.Tensor]:
    """The features of the grids that have any, (FEATURES, rows, columns) at their sizes."""
    known = dict(zip(all_grids(), latents))
    found = {}
    for level in FEATURED_LEVELS:
        coarser, total = coarser_grids(level), tf.constant(0.0)
        for at in range(LEVELS - 1, level, -1):
            columns = [index for index, grid in enumerate(coarser) if grid.level == at]
            planes = tf.stack([known[coarser[index]] for index in columns])
            count, height, width = planes.shape
            matrix = weights[f"features {level}"][:, columns[0] : columns[-1] + 1]
            own = tf.linalg.matmul(matrix, tf.reshape(planes, [count, height * width]))
            above = 0.0 if at == LEVELS - 1 else _nearest(total)[:, :height, :width]
            total = above + tf.reshape(own, [FEATURES, height, width])
        height, width = known[Grid(level)].shape
        total += weights[f"features {level} bias"][:, None, None]
        found[Grid(level)] = _nearest(total)[:, :height, :width]
    return found


def _laplace_bits(values: tf.Tensor, mean: tf.Tensor, log_scale: tf.Tensor) -> tf.Tensor:
    """Of values in intervals of 1 under Laplacians."""
    rate = tf.exp(-tf.clip_by_value(log_scale, -LARGEST_LOG_SCALE, LARGEST_LOG_SCALE))
    distance = tf.abs(values - mean)
    near, far = tf.exp(-tf.abs(distance - 0.5) * rate), tf.exp(-(distance + 0.5) * rate)
    mass = tf.where(distance >= 0.5, 0.5 * (near - far), 1.0 - 0.5 * (near + far))
    return -BITS * tf.math.log(tf.maximum(mass, LEAST_MASS))


def _filtered(taps: tf.Tensor, planes: tf.Tensor) -> tf.Tensor:
    """Planes plus their separable filter of seven taps; zeros around."""
    line = tf.linalg.matvec(FILTER, taps)
    along = tf.nn.conv2d(planes[..., None], tf.reshape(line, [-1, 1, 1, 1]), 1, "SAME")
    return planes + tf.nn.conv2d(along, tf.reshape(line, [1, -1, 1, 1]), 1, "SAME")[..., 0]


def _doubled(taps: tf.Tensor, planes: tf.Tensor) -> tf.Tensor:
    """Planes of twice the size by a separable filter; the last sample repeated around."""
    count, height, width = planes.shape
    lines = tf.stack([tf.linalg.matvec(EVEN, taps), tf.linalg.matvec(ODD, taps)], axis=1)
    rows = tf.nn.conv2d(_repeated(planes[..., None], 1, TAPS // 2), lines[:, None, None, :], 1, "VALID")
    rows = tf.reshape(tf.transpose(rows, [0, 1, 3, 2]), [count, 2 * height, width, 1])
    both = tf.nn.conv2d(_repeated(rows, 2, TAPS // 2), lines[None, :, None, :], 1, "VALID")
    return tf.reshape(both, [count, 2 * height, 2 * width])


def _nearest(planes: tf.Tensor) -> tf.Tensor:
    """Planes of twice the size: each sample four times."""
    count, height, width = planes.shape
    rows = tf.stack([planes, planes], axis=2)
    return tf.reshape(tf.stack([rows, rows], axis=4), [count, 2 * height, 2 * width])


def _repeated(samples: tf.Tensor, axis: int, times: int) -> tf.Tensor:
    """With the first and the last along an axis, 1 or 2, once more so often."""
    first, last = (samples[:, :1], samples[:, -1:]) if axis == 1 else (samples[:, :, :1], samples[:, :, -1:])
    return tf.concat([first] * times + [samples] + [last] * times, axis=axis)


def _convolved(weights: Weights, name: str, samples: tf.Tensor) -> tf.Tensor:
    """(1, H, W, colours) plus its convolution; the last sample repeated around."""
    kernel = weights[f"synthesis {name} kernel"]
    colours = kernel.shape[0]
    identity = np.zeros((colours, colours, 3, 3), np.float32)
    identity[:, :, 1, 1] = np.eye(colours)
    around = _repeated(_repeated(samples, 1, 1), 2, 1)
    convolved = tf.nn.conv2d(around, tf.transpose(kernel + identity, [2, 3, 1, 0]), 1, "VALID")
    return tf.nn.bias_add(convolved, weights[f"synthesis {name} kernel bias"])
