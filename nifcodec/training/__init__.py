"""Training of fields: the only package that imports TensorFlow, and the one place where its log level is set."""

import os

# TensorFlow reads it once, when its library is loaded; a level that the user has set stays.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
