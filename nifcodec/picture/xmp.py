"""XMP of JPEG: a packet, and where it is too long for a segment its extension (XMP specification, part 3, 1.1.3.1)."""

from __future__ import annotations

import re
import struct
import warnings
from typing import Any, Dict, List, Optional, Sequence, Tuple

HEADER = b"http://ns.adobe.com/xap/1.0/\0"
EXTENSION_HEADER = b"http://ns.adobe.com/xmp/extension/\0"
EXTENSION_FIELDS = struct.Struct(">32sII")  # GUID, length of the whole extension, offset of this part
EXTENDED = re.compile(rb"\sxmpNote:HasExtendedXMP\s*=\s*[\"']([0-9A-Fa-f]{32})[\"']")
EXTENDED_ELEMENT = re.compile(rb"<xmpNote:HasExtendedXMP>\s*([0-9A-Fa-f]{32})\s*</xmpNote:HasExtendedXMP>")
RDF = re.compile(rb"<rdf:RDF\b([^>]*)>(.*)</rdf:RDF>", re.DOTALL)
NAMESPACE = re.compile(rb"\sxmlns:([\w.-]+)\s*=\s*(?:\"[^\"]*\"|'[^']*')")


def of_jpeg(applist: Sequence[Tuple[Any, bytes]]) -> bytes:
    """The XMP of a JPEG, its extension put into it; b"" where there is none.

    Args:
        applist: the application segments, as Pillow has them.
    """
    segments = [data for _, data in applist]
    packets = [data[len(HEADER) :] for data in segments if data.startswith(HEADER)]
    if not packets:
        return b""
    found = EXTENDED.search(packets[0]) or EXTENDED_ELEMENT.search(packets[0])
    if found is None:
        return packets[0]
    parts = [data[len(EXTENSION_HEADER) :] for data in segments if data.startswith(EXTENSION_HEADER)]
    merged = _merged(packets[0].replace(found[0], b"", 1), _joined(parts, found[1]))
    if merged is None:
        warnings.warn("the extended XMP is damaged and left out", stacklevel=4)
        return packets[0]
    return merged


def _joined(segments: List[bytes], guid: bytes) -> bytes:
    """The extension of this GUID; b"" where a part is missing."""
    parts: Dict[int, bytes] = {}
    length = 0
    for segment in segments:
        if len(segment) >= EXTENSION_FIELDS.size:
            name, total, offset = EXTENSION_FIELDS.unpack_from(segment)
            if name == guid:
                length, parts[offset] = total, segment[EXTENSION_FIELDS.size :]
    content = b""
    for offset, part in sorted(parts.items()):
        if offset != len(content):
            return b""
        content += part
    return content if len(content) == length else b""


def _merged(packet: bytes, extension: bytes) -> Optional[bytes]:
    """The descriptions of both in one packet, under the namespaces of both."""
    first, second = RDF.search(packet), RDF.search(extension)
    if first is None or second is None:
        return None
    known = {found[1] for found in NAMESPACE.finditer(packet[: first.start(2)])}
    added = {found[1]: found[0] for found in NAMESPACE.finditer(extension[: second.start(2)]) if found[1] not in known}
    head, tail = packet[: first.end(1)], packet[first.end(1) : first.end(2)]
    return head + b"".join(added.values()) + tail + second[2] + packet[first.end(2) :]
