"""The families `fourier` and `siren`: coordinate networks."""

from __future__ import annotations

from dataclasses import asdict
from typing import Mapping

from nifcodec.config import EncodeConfig
from nifcodec.container import NifFile
from nifcodec.entropy.tensors import decode_tensors
from nifcodec.fields.family import CodedField, Description, Family, Samples
from nifcodec.fields.hooks import Hooks
from nifcodec.fields.job import Goal
from nifcodec.fields.mlp import description
from nifcodec.fields.mlp.options import OPTIONS
from nifcodec.fields.mlp.render import Network
from nifcodec.fields.mlp.weights import QuantizedMlp
from nifcodec.picture.signal import Signal


class MlpRender:
    """The coordinate network of a file."""

    reductions = 0

    def __init__(self, file: NifFile) -> None:
        self._payload = file.payload
        self.spec = description.unpack(file.family, file.channels, file.description)

    def describe(self) -> Description:
        used = {name: value for name, value in asdict(self.spec).items() if value not in (0, 0.0)}
        settings = {name: value for name, value in used.items() if name not in ("family", "channels")}
        return Description(self.spec.parameter_count(), self.spec.macs_per_pixel(), settings)

    def weights(self) -> QuantizedMlp:
        """The network as stored. Raises CorruptFileError."""
        return QuantizedMlp.from_payload(
            self.spec, decode_tensors(self._payload, QuantizedMlp.payload_shapes(self.spec))
        )

    def samples(self, reduction: int = 0) -> Samples:
        network = self.weights()
        return Network(network.spec, network.dequantize())


def _encode(signal: Signal, goal: Goal, config: EncodeConfig, hooks: Hooks) -> CodedField:
    # Readers do without the modules that encode: they are loaded here.
    from nifcodec.fields.mlp.encode import encode

    return encode(signal, goal, config, hooks)


FAMILIES: Mapping[str, Family] = {
    name: Family(name, number, OPTIONS[name], MlpRender, _encode, missed="try a higher effort")
    for name, number in description.FAMILY_IDS.items()
}
