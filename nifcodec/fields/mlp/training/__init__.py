"""Training of coordinate networks. Importing it starts TensorFlow, or raises MissingDependencyError."""

import nifcodec.training  # noqa: F401
