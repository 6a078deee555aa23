"""Training of detail networks on pictures that the wavelet field decodes."""
