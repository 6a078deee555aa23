"""Training of the latent pyramid on devices. Importing it starts TensorFlow, or raises MissingDependencyError."""

import nifcodec.training  # noqa: F401
