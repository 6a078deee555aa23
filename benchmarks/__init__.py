"""Measurements of nifcodec beside other codecs: `python -m benchmarks rd|cost`, see `python -m benchmarks --help`."""
