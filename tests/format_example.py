"""Prints the example of FORMAT.md from `tests/golden/example.nif` as the second reader reads it.

`python -m tests.format_example` prints the section; with `--write` it puts it into FORMAT.md.
"""

from __future__ import annotations

import re
import sys
import textwrap
from pathlib import Path
from typing import Iterable, List, Sequence

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

from second_reader import Pass, read
from second_reader.conventions import Bytes

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE, PAGE = ROOT / "tests" / "golden" / "example.nif", ROOT / "FORMAT.md"
SECTION = re.compile(r"(?<=## Example of a wavelet file\n\n).*?(?=\n\n## What reads what)", re.DOTALL)
ORIENTATIONS = ("HL", "LH", "HH")


def example() -> str:
    """The text of the section, without its heading."""
    data = EXAMPLE.read_bytes()
    passes: List[Pass] = []
    picture = read(data, passes.append)
    field = picture.wavelet
    assert field is not None and len(field.parts) == 1 and len(field.levels) == 1 and list(field.planes) == [0]
    part, by = field.parts[0], field.description
    first = passes[0]
    signed = first.signed[0]
    height, width = picture.samples.shape[:2]
    blocks = [
        f"A grey picture of {width} x {height} pixels of 8 bits, `tests/golden/example.nif`. It has one level, one "
        "plane and no tiles. Bytes are hexadecimal, all else is decimal.",
        fenced(dump(data)),
        f"The step is 2^({by.step_index}/64 - 8) = {by.step:.6f} and the step feature {by.step_feature}. Flags and "
        f"checks: HL, LH and HH have the flags {', '.join(part.flags)}; the check of level 0 is {part.checks[0]}.",
        "The coarsest low-pass plane, in steps, from its differences:",
        fenced(rows(part.coarsest[0] // 64)),
        f"The first pass (front {first.front}, even columns) has {len(first.positions)} coefficients of HL. The "
        f"coefficient at (0, 0) has {len(signed)} signed features: the {len(signed) - 24} of coefficients are all 0, "
        "and those of the low-pass plane, the 5x5 without its centre, are",
        fenced(rows(np.insert(np.array(signed[-24:]), 12, 0).reshape(5, 5))),
        f"(the centre is no feature). The three constants are {127 * (first.front % 2)}, {by.step_feature} and 0. All "
        "coefficients in coding order:",
        "\n".join(table(passes)),
        "The values, in half steps, of HL, LH and HH:",
        fenced(line for values in field.levels[0].values() for line in [*rows(values), ""]),
        "The plane after level 0, in 1/64 of the step:",
        fenced(rows(field.planes[0])),
        "The samples, after the restoration filter:",
        fenced(rows(picture.samples[..., 0])),
    ]
    assert not any(signed[:-24])
    return "\n\n".join(block if block[0] in "`|" else textwrap.fill(block, 126) for block in blocks)


def dump(data: bytes) -> List[str]:
    """The bytes of the file, a field a line."""
    file = Bytes(data)
    lines: List[str] = []

    def take(count: int, meaning: str) -> None:
        taken = file.take(count).hex(" ").upper()
        lines.append(f"{taken:<36} {meaning}")

    def varint_at() -> int:
        return Bytes(data[file.position :]).varint()

    take(10, "signature, version")
    take(2, "H, length")
    take(4, "width, height, channels, family")
    count = varint_at()
    take(1, "number of bytes of the fields")
    take(3, "step_index, tiles and dependent quantization")
    take(8, "identity of the prior")
    corrections = data[file.position]
    take(1, "corrections")
    take(corrections, "weights for luma")
    take(corrections, "weights for chroma")
    assert count == 12 + 2 * corrections
    take(4, "CRC-32")
    length = Bytes(data[file.position + 1 :]).varint()
    take(2, "W, length")
    tensors = varint_at()
    take(1, "number of bytes of the range coded tensors")
    take(1, "number of the table")
    take(tensors - 1, "stream of the coarsest low-pass plane")
    take(1, "flags")
    take(2, "check of level 0")
    take(length - tensors - 4, "stream of the bands")
    take(4, "CRC-32")
    assert file.position == len(data)
    return lines


def table(passes: Sequence[Pass]) -> List[str]:
    lines = [
        "| front | band | row, column | quantizer | scale | mean | shift | base | mirrored | table | symbol | index |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for one in passes:
        for ((_, orientation), row, column), by, index in zip(one.positions, one.contexts, one.indices):
            mirrored = "yes" if by.mirrored else "no"
            assert by.shift == 0 and abs(index - by.base) < 16
            symbol = 16 + (by.base - index if by.mirrored else index - by.base)
            cells = (by.quantizer, by.scale, by.mean, by.shift, by.base, mirrored, by.table, symbol, index)
            front = f"| {one.front} | {ORIENTATIONS[orientation]} | {row}, {column} | "
            lines.append(front + " | ".join(map(str, cells)) + " |")
    return lines


def rows(values: np.ndarray) -> List[str]:
    width = max(len(str(value)) for value in values.ravel().tolist())
    return [" ".join(f"{value:>{width}}" for value in row) for row in values.tolist()]


def fenced(lines: Iterable[str]) -> str:
    return "\n".join(["```", *"\n".join(lines).strip("\n").split("\n"), "```"])


if __name__ == "__main__":
    if "--write" in sys.argv[1:]:
        page = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(SECTION.sub(lambda _: example(), page), encoding="utf-8")
    else:
        print(example())
