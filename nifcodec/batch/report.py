"""What a manifest says, for people."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Dict, List

from nifcodec.batch.manifest import Merged
from nifcodec.batch.progress import readable
from nifcodec.batch.tasks import DONE, FAILED, WRITING, Row

MOST_EXAMPLES = 3
MOST_WARNINGS = 10


def status(merged: Merged) -> str:
    """Lines: inputs of each status, bytes, PSNR, seconds and warnings of the done, and the failures by cause."""
    rows = merged.rows()
    done = [row for row in rows if row.status == DONE]
    failed = [row for row in rows if row.status == FAILED]
    open_ones = sum(row.status == WRITING for row in rows)
    lines = [f"{len(rows)} inputs: {len(done)} done, {len(failed)} failed, {open_ones} unfinished"]
    if done:
        came, went = sum(row.size or 0 for row in done), sum(row.bytes or 0 for row in done)
        pixels = sum((row.width or 0) * (row.height or 0) for row in done)
        rate = f", {8 * went / pixels:.3f} bpp" if pixels else ""
        lines.append(f"  bytes     {readable(came)} -> {readable(went)}{rate}")
        measured = [row.psnr for row in done if row.psnr is not None]
        if measured:
            lines.append(f"  PSNR      {sum(measured) / len(measured):.2f} dB on average, {min(measured):.2f} at least")
        hosts = len({row.host for row in done})
        machines = "1 machine" if hosts == 1 else f"{hosts} machines"
        lines.append(f"  work      {sum(row.seconds for row in done):.1f} s on {machines}")
        missed = sum(row.missed for row in done)
        if missed:
            lines.append(f"  target    missed by {missed}")
        lines += _warnings(done)
    for cause, found in sorted(_by_cause(failed).items(), key=lambda item: -len(item[1])):
        lines.append(f"  {len(found)} {cause}")
        lines += [f"    {row.complaint}" for row in found[:MOST_EXAMPLES]]
        if len(found) > MOST_EXAMPLES:
            lines.append(f"    and {len(found) - MOST_EXAMPLES} more")
    if merged.damaged:
        lines.append(f"  {merged.damaged} lines are no rows")
    return "\n".join(lines)


def _warnings(rows: List[Row]) -> List[str]:
    """How many inputs have warnings, and each sentence with how many have it, without their names."""
    warned = sum(bool(row.warnings) for row in rows)
    texts = [dict.fromkeys(_without_name(text, row.source) for text in row.warnings) for row in rows]
    said = Counter(text for of_one in texts for text in of_one)
    lines = [f"  warnings  of {warned}"] if warned else []
    lines += [f"    {count} x {text}" for text, count in said.most_common(MOST_WARNINGS)]
    return [*lines, f"    and {len(said) - MOST_WARNINGS} more"] if len(said) > MOST_WARNINGS else lines


def _without_name(text: str, source: str) -> str:
    return text.replace(f"{source}: ", "").replace(f"{source} ", "")


def _by_cause(rows: List[Row]) -> Dict[str, List[Row]]:
    found: Dict[str, List[Row]] = defaultdict(list)
    for row in rows:
        found[row.cause or "unknown"].append(row)
    return found
