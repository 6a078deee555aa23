"""Training of the wavelet field and of its priors. Importing it starts TensorFlow, or raises MissingDependencyError."""

import nifcodec.training  # noqa: F401
