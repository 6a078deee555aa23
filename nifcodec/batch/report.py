"""What a manifest says, for people."""

from __future__ import annotations

from collections import defaultdict
from typing import Dict, List

from nifcodec.batch.manifest import Merged
from nifcodec.batch.progress import readable
from nifcodec.batch.tasks import DONE, FAILED, WRITING, Row

MOST_EXAMPLES = 3


def status(merged: Merged) -> str:
    """Lines: inputs of each status, bytes, PSNR and seconds of the done, and the failures by cause with examples."""
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
        warned = sum(bool(row.warnings) for row in done)
        if warned:
            lines.append(f"  warnings  of {warned}")
    for cause, found in sorted(_by_cause(failed).items(), key=lambda item: -len(item[1])):
        lines.append(f"  {len(found)} {cause}")
        lines += [f"    {row.complaint}" for row in found[:MOST_EXAMPLES]]
        if len(found) > MOST_EXAMPLES:
            lines.append(f"    and {len(found) - MOST_EXAMPLES} more")
    if merged.damaged:
        lines.append(f"  {merged.damaged} lines are no rows")
    return "\n".join(lines)


def _by_cause(rows: List[Row]) -> Dict[str, List[Row]]:
    found: Dict[str, List[Row]] = defaultdict(list)
    for row in rows:
        found[row.cause or "unknown"].append(row)
    return found
