"""Every error that nifcodec raises on purpose: one class a cause, each with the exit code of the command line.

The message is one sentence that says what happened and, where something can be done, what to do.
"""

from __future__ import annotations


class NifError(Exception):
    """Base of all errors raised on purpose. Exit code 1: the operation failed."""

    exit_code = 1


class CorruptFileError(NifError):
    """A `.nif` that cannot be read. Exit code 3."""

    exit_code = 3


class NotANifError(CorruptFileError):
    """The bytes do not start with the signature of a `.nif`, or it was damaged by a text-mode transfer."""


class UnsupportedVersionError(CorruptFileError):
    """A valid file that needs a newer reader: another major version, an unknown critical chunk or family."""


class UnknownPriorError(UnsupportedVersionError):
    """The file names a prior that this installation does not have."""


class TruncatedError(CorruptFileError):
    """The file ends before what it announces."""


class ChecksumError(CorruptFileError):
    """A chunk's CRC-32 does not match its bytes."""


class LimitError(CorruptFileError):
    """A number in the file, or a requested output, is above a limit; raised before anything is allocated."""


class MalformedError(CorruptFileError):
    """A value that the format does not allow.

    Attributes:
        field: name of the value in FORMAT.md.
        offset: byte offset in the part that was being read, or None where there is none.
    """

    def __init__(self, field: str, why: str, offset: "int | None" = None) -> None:
        self.field = field
        self.offset = offset
        place = "" if offset is None else f" at byte {offset}"
        super().__init__(f"the file is damaged: {field}{place} {why}")


class ImageError(NifError):
    """A picture that cannot be read or written, or of a kind that cannot be encoded."""


class ConfigError(NifError):
    """Options that contradict each other or lie outside their range. Exit code 2."""

    exit_code = 2


class MissingDependencyError(NifError):
    """An optional package is needed; the message names the command that installs it."""


class TrainingError(NifError):
    """Training diverged and could not be saved by restarting from the best state."""


class DeviceError(NifError):
    """The device that was asked for is not there, or failed."""


class WorkerLostError(NifError):
    """A process of a training over several processes, or of a batch, is gone; the message names it."""


class TimeLimitError(NifError):
    """A picture of a batch took longer than it may."""


class OutputError(NifError):
    """The output could not be written; nothing half written is left behind."""


class OutputExistsError(NifError):
    """The output exists and `--force` was not given. Exit code 4."""

    exit_code = 4


class InterruptedEncodeError(NifError):
    """Stopped by the user before there was anything worth writing. Exit code 130."""

    exit_code = 130
