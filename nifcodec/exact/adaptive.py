"""Symbols under tables that adapt to each context, as the streams of FORMAT.md, "Alpha map", have them."""

from __future__ import annotations

from typing import Dict, List

from nifcodec.entropy.range_coder import TOTAL, Decoder, Encoder

# No symbol is rarer, so that each costs something, and a stream's length bounds how many there are.
FLOOR = TOTAL >> 9
LEARNT = 8  # what a symbol that was coded counts, where one that was not counts 1
MOST = 1 << 14  # a larger sum of counts is halved


class Contexts:
    """The counts of all contexts of an alphabet of `symbols`, each beginning as 1."""

    def __init__(self, symbols: int) -> None:
        self._symbols = symbols
        self._counts: Dict[int, List[int]] = {}

    def cumulative(self, context: int) -> List[int]:
        """The sums of the frequencies before each symbol, and `TOTAL`."""
        counts = self._counts.get(context)
        if counts is None:
            counts = self._counts[context] = [1] * self._symbols
        total, free, largest = sum(counts), TOTAL - self._symbols * FLOOR, counts.index(max(counts))
        sums, place = [0], 0
        for count in counts:
            place += FLOOR + count * free // total
            sums.append(place)
        # What rounding left goes to the first of the likeliest.
        for index in range(largest + 1, self._symbols + 1):
            sums[index] += TOTAL - place
        return sums

    def learn(self, context: int, symbol: int) -> None:
        """Counts a symbol that was coded."""
        counts = self._counts[context]
        counts[symbol] += LEARNT
        if sum(counts) > MOST:
            counts[:] = [(count + 1) >> 1 for count in counts]


class Writer:
    """Codes symbols into a stream."""

    def __init__(self) -> None:
        self._befores: List[int] = []
        self._frequencies: List[int] = []

    def __call__(self, contexts: Contexts, context: int, symbol: int) -> int:
        """Codes a symbol, and gives it back."""
        sums = contexts.cumulative(context)
        self._befores.append(sums[symbol])
        self._frequencies.append(sums[symbol + 1] - sums[symbol])
        contexts.learn(context, symbol)
        return symbol

    def finish(self) -> bytes:
        """The stream."""
        encoder = Encoder()
        encoder.put_parts(self._befores, self._frequencies)
        return encoder.finish()


class Reader:
    """Reads symbols from a stream."""

    def __init__(self, data: bytes) -> None:
        self._decoder = Decoder(data)

    def __call__(self, contexts: Contexts, context: int, _symbol: int) -> int:
        """The next symbol, whatever stood there. Raises MalformedError."""
        symbol = self._decoder.next(contexts.cumulative(context))
        contexts.learn(context, symbol)
        return symbol

    def finish(self) -> None:
        """Checks that the stream is the one of the symbols read. Raises MalformedError."""
        self._decoder.finish()
