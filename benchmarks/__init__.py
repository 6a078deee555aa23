"""Measurements of nifcodec beside other codecs: `python -m benchmarks --help` lists them."""
