"""The command line: `nifcodec encode | decode | info | verify | export | batch`.

Exit codes: 0 done, 1 failed, 2 usage, 3 corrupt or unsupported file, 4 output exists, 5 written but beside its target,
130 interrupted. Of several inputs one failure does not stop the rest; the code is then that of the failures where they
agree, else 1.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from typing import Any, Callable, List, NoReturn, Optional, Sequence

from nifcodec import __version__
from nifcodec.cli import values
from nifcodec.cli.batch import add_batch
from nifcodec.cli.options import (
    add_encode,
    add_interpolation,
    add_max_pixels,
    add_option,
    add_outputs,
    given_options,
)
from nifcodec.config import EncodeConfig
from nifcodec.errors import ConfigError, InterruptedEncodeError, NifError, TargetMissedError
from nifcodec.fields import families
from nifcodec.files import STREAM, is_device, say
from nifcodec.native.library import backend
from nifcodec.options import described
from nifcodec.threads import leave_blas_one_thread

INTERRUPTED = 130
STANDARD_OUTPUT = ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Runs one command; returns its exit code. Usage errors leave through SystemExit(2), as argparse does."""
    leave_blas_one_thread()
    arguments = _parser().parse_args(argv)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if not getattr(arguments, "quiet", False):
            warnings.filterwarnings("always", category=UserWarning, module=r"nifcodec\.")
        warnings.showwarning = _show_warning
        try:
            code = int(arguments.run(arguments))
            if sys.stdout is not None:
                sys.stdout.flush()
            return code
        except NifError as error:
            _complain(str(error))
            if isinstance(error, ConfigError):
                say(_hint(f"nifcodec {arguments.command}"))
            return error.exit_code
        except KeyboardInterrupt:
            _complain("interrupted")
            return INTERRUPTED
        except BrokenPipeError:  # whoever read our output has stopped
            return 1
        except OSError as error:
            _complain(f"input or output failed: {error.strerror or error}")
            return 1
        finally:
            _drop_unwritten()


def _hint(program: str) -> str:
    return f"usage: {program} --help lists what can be given\n"


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are a message and a hint: the list of all options would hide them."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message}\n{_hint(self.prog)}")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """What a command does not know is an error of its own: the whole parser's would hint at another help."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return found, unknown


class _Version(argparse._VersionAction):
    """Loads the native library only where it is asked for: neither --help nor a build of the package needs it."""

    def __call__(self, parser: argparse.ArgumentParser, *arguments: Any, **named: Any) -> None:
        try:
            self.version = f"nifcodec {__version__} ({backend()})"
        except NifError as error:
            parser.exit(error.exit_code, f"nifcodec: {error}\n")
        super().__call__(parser, *arguments, **named)


def _parser() -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = _Parser(
        prog="nifcodec", description="Stores a picture as a small neural field that was fitted to it alone."
    )
    parser.add_argument("--version", action=_Version)
    commands = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND")
    commands.required = True
    add_encode(commands, _encode)
    _add_decode(commands)
    _add_info(commands)
    _add_verify(commands)
    _add_export(commands)
    add_batch(commands)
    return parser


def _add_decode(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser(
        "decode",
        help=".nif to pictures, at any size",
        description="Renders each .nif as a picture beside it: PNG, or EXR of a float picture, unless told otherwise.",
    )
    command.set_defaults(run=_decode)
    command.add_argument("inputs", nargs="+", metavar="IN", help=".nif, or - for standard input")
    add_outputs(command, "picture, its format by the ending; - for standard output")
    command.add_argument(
        "--format",
        metavar="F",
        help=f"{', '.join(values.PICTURES[:-1])} or {values.PICTURES[-1]} (default: by -o, else png or exr)",
    )
    command.add_argument(
        "-q",
        "--quality",
        type=values.quality,
        metavar="Q",
        help="of JPEG (default 95) and AVIF (90), and of WebP and JPEG XL with loss; 0 to 100",
    )
    flat = command.add_mutually_exclusive_group()
    flat.add_argument(
        "--background", metavar="COLOUR", help="put the picture over a colour: a name as white, or #rrggbb"
    )
    flat.add_argument("--opaque", action="store_true", help="leave the alpha out")
    size = command.add_mutually_exclusive_group()
    size.add_argument("--scale", type=float, metavar="F", help="factor of width and height")
    size.add_argument(
        "--size", type=values.size, metavar="WxH", help="pixels of the output; a 0 keeps the aspect ratio"
    )
    size.add_argument(
        "--fit", type=values.size, metavar="WxH", help="shrink to fit into so many pixels, as thumbnails do"
    )
    command.add_argument(
        "--crop", type=values.crop, metavar="X,Y,W,H", help="only this part, in pixels of the stored picture"
    )
    add_interpolation(command)
    add_max_pixels(command, "output")
    add_option(command, "threads", described(EncodeConfig)["threads"])
    command.add_argument("--quiet", action="store_true", help="print errors only")


def _add_info(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser("info", help="what a .nif holds", description="Prints what each .nif holds.")
    command.set_defaults(run=_info)
    command.add_argument("inputs", nargs="+", metavar="FILE", help=".nif, or - for standard input")
    command.add_argument("--json", action="store_true", help="one JSON object a file")
    command.add_argument("-v", "--verbose", action="store_true", help="say what decodes it, too")


def _add_verify(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser(
        "verify",
        help="check a .nif, and measure it against its original",
        description="Checks every checksum, decodes the whole file, and measures it.",
    )
    command.set_defaults(run=_verify)
    command.add_argument("inputs", nargs="+", metavar="FILE", help=".nif, or - for standard input")
    command.add_argument(
        "--against", metavar="ORIGINAL", help="picture to measure PSNR and MS-SSIM against, of one FILE"
    )
    command.add_argument("--scale", type=float, metavar="F", help="factor of width and height, to those of ORIGINAL")
    add_interpolation(command)
    add_max_pixels(command, "picture")
    add_option(command, "threads", described(EncodeConfig)["threads"])
    command.add_argument("--json", action="store_true", help="one JSON object a file")


def _add_export(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser(
        "export",
        help="the network of a .nif for other programs",
        description="Writes a fourier or siren network as a Keras model, in the layout of Graphcore's example.",
    )
    command.set_defaults(run=_export)
    command.add_argument("inputs", nargs=1, metavar="FILE", help=".nif, or - for standard input")
    command.add_argument("--keras", required=True, metavar="OUT.h5", help="model; nif_metadata.txt is put beside it")
    command.add_argument("-f", "--force", action="store_true", help="replace existing outputs")


def _encode(arguments: argparse.Namespace) -> int:
    from nifcodec.cli import conversions

    config = families.configure(**given_options(arguments))
    if config.strip and {arguments.exif, arguments.xmp} != {None}:
        raise ConfigError("--strip drops EXIF and XMP, and --exif and --xmp give some: leave it or them out")
    outputs = _outputs(arguments, lambda _: ".nif")
    if arguments.json and STREAM in outputs:
        raise ConfigError("--json and the file cannot both go to standard output: give -o FILE")
    if config.checkpoint is not None and len(outputs) > 1:
        raise ConfigError("a checkpoint is of one picture: encode one at a time")
    from nifcodec.cli.console import Interrupt

    with Interrupt(arguments.quiet) as interrupt:

        def one(source: str, target: str) -> None:
            missed = conversions.encode_file(source, target, config, arguments, interrupt)
            if interrupt.requested:
                raise InterruptedEncodeError(f"interrupted: {target} holds the best that was found until then")
            if missed is not None:
                raise TargetMissedError(f"{target} is written, but {missed}")

        return _each(arguments.inputs, outputs, one)


def _decode(arguments: argparse.Namespace) -> int:
    from nifcodec.cli import conversions

    def ending(source: str) -> str:
        return "." + arguments.format.lower().lstrip(".") if arguments.format else conversions.ending_of(source)

    return _each(arguments.inputs, _outputs(arguments, ending), lambda s, t: conversions.decode_file(s, t, arguments))


def _info(arguments: argparse.Namespace) -> int:
    from nifcodec.cli import commands

    return _each(
        arguments.inputs,
        arguments.inputs,
        lambda source, _: commands.print_info(source, arguments.json, arguments.verbose),
    )


def _verify(arguments: argparse.Namespace) -> int:
    from nifcodec.cli import commands

    if arguments.against is not None and len(arguments.inputs) > 1:
        raise ConfigError("--against is the original of one file: verify one at a time")
    return _each(arguments.inputs, arguments.inputs, lambda source, _: commands.verify_file(source, arguments))


def _export(arguments: argparse.Namespace) -> int:
    from nifcodec.cli import commands

    def export(source: str, target: str) -> None:
        commands.export_keras(source, target, arguments.force)

    return _each(arguments.inputs, [arguments.keras], export)


def _each(sources: Sequence[str], targets: Sequence[str], job: Callable[[str, str], None]) -> int:
    """Runs the job on every pair; complains about each failure; returns the exit code."""
    codes: List[int] = []
    for source, target in zip(sources, targets):
        try:
            job(source, target)
        except NifError as error:
            _complain(str(error) if source in str(error) else f"{source}: {error}")
            codes.append(error.exit_code)
        except MemoryError:
            _complain(f"{source}: not enough memory")
            codes.append(1)
        if INTERRUPTED in codes:
            return INTERRUPTED
    return 0 if not codes else codes[0] if len(set(codes)) == 1 else 1


def _outputs(arguments: argparse.Namespace, ending: Callable[[str], str]) -> List[str]:
    """One output an input; `ending` is that of an input's output. Raises ConfigError where they are not clear."""
    sources: List[str] = arguments.inputs
    if arguments.output is not None and arguments.output.endswith(tuple(filter(None, (os.sep, os.altsep)))):
        arguments.out_dir, arguments.output = arguments.output, None
    if sources.count(STREAM) > 1:
        raise ConfigError("standard input can be read once only")
    if arguments.output is not None:
        if len(sources) > 1:
            raise ConfigError("-o names one output and there are several inputs: use --out-dir")
        return [STREAM if arguments.output in STANDARD_OUTPUT else arguments.output]
    if arguments.out_dir is not None and STREAM in sources:
        raise ConfigError("standard input has no name to be kept in --out-dir: give -o FILE")
    for source in sources:
        if source.startswith("/dev/") or is_device(source):
            raise ConfigError(f"{source} is no file that an output could be named after: give -o FILE")
    targets = [_named_after(source, arguments.out_dir, ending(source)) for source in sources]
    for index, target in enumerate(targets):
        if target in targets[:index]:
            raise ConfigError(f"{sources[targets.index(target)]} and {sources[index]} would both become {target}")
    return targets


def _named_after(source: str, folder: Optional[str], ending: str) -> str:
    if source == STREAM:
        return STREAM
    stem = os.path.splitext(source)[0] + ending
    return stem if folder is None else os.path.join(folder, os.path.basename(stem))


def _drop_unwritten() -> None:
    """Python flushes standard output at exit, and would print a traceback where it is full or closed."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(message: str) -> None:
    say(f"nifcodec: {message}\n")


def _show_warning(message: "Warning | str", *_: object, **__: object) -> None:
    _complain(f"warning: {message}")
