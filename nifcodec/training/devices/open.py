"""Which device an encode is asked to train on."""

from __future__ import annotations

import os

import tensorflow as tf

from nifcodec.errors import DeviceError
from nifcodec.training.devices.base import Device, Placement
from nifcodec.training.devices.local import Local, gpu_memory

NO_GPU = "TensorFlow finds no GPU on this machine: use --device cpu, or install a TensorFlow with its CUDA libraries"


def open_device(placement: Placement) -> Device:
    """The device that is asked for.

    Raises:
        ConfigError: replicas that the device cannot have.
        DeviceError: it is not there.
        MissingDependencyError: it needs another TensorFlow.
    """
    if placement.kind == "ipu":
        from nifcodec.training.devices.ipu import open_ipu

        return open_ipu(placement)
    gpus = tf.config.list_physical_devices("GPU")
    if placement.kind == "gpu" and not gpus:
        raise DeviceError(NO_GPU)
    kind = "gpu" if gpus and placement.kind != "cpu" else "cpu"
    if "TF_CONFIG" in os.environ and not placement.independent:
        from nifcodec.training.devices.replicas import open_cluster

        cluster = open_cluster(kind, placement.replicas)
        if cluster is not None:
            return cluster
    if placement.replicas is not None and placement.replicas > 1:
        from nifcodec.training.devices.replicas import open_replicas

        return open_replicas(kind, placement.replicas)
    place = None if placement.kind == "auto" else f"/{kind.upper()}:0"
    return Local(place, kind, gpu_memory() if kind == "gpu" else None)
