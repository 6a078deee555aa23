"""A file of the families `fourier` and `siren` as something to sample."""

from __future__ import annotations

from dataclasses import asdict
from typing import Optional

from nifcodec.container import NifFile
from nifcodec.entropy.tensors import decode_tensors
from nifcodec.fields.family import Samples, Summary
from nifcodec.fields.mlp import description
from nifcodec.fields.mlp.render import Network
from nifcodec.fields.mlp.weights import QuantizedMlp
from nifcodec.picture.window import Window


class MlpRender:
    """The coordinate network of a file."""

    reductions = 0

    def __init__(self, file: NifFile) -> None:
        self._payload = file.payload
        self.spec = description.unpack(file.family, file.channels, file.description)

    def describe(self) -> Summary:
        used = {name: value for name, value in asdict(self.spec).items() if value not in (0, 0.0)}
        settings = {name: value for name, value in used.items() if name not in ("family", "channels")}
        return Summary(self.spec.parameter_count(), self.spec.macs_per_pixel(), settings)

    def weights(self) -> QuantizedMlp:
        """The network as stored. Raises CorruptFileError."""
        return QuantizedMlp.from_payload(
            self.spec, decode_tensors(self._payload, QuantizedMlp.payload_shapes(self.spec))
        )

    def samples(self, reduction: int = 0, window: Optional[Window] = None) -> Samples:
        network = self.weights()
        return Network(network.spec, network.dequantize())
