"""What the training of all families shares. Importing it starts TensorFlow quietly, or says how to install it.

Raises MissingDependencyError.
"""

from __future__ import annotations

import contextlib
import importlib
import os
from typing import Iterator

from nifcodec.errors import MissingDependencyError

LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"


@contextlib.contextmanager
def _quiet_start() -> Iterator[None]:
    """Sends file descriptor 2 nowhere, unless the user has set TensorFlow's log level.

    While it starts, TensorFlow prints a dozen lines about drivers that a machine without a GPU does not have; they come
    from its C++ libraries before any log level applies.
    """
    if LOG_LEVEL in os.environ:
        yield
        return
    os.environ[LOG_LEVEL] = "2"  # read once, when the library is loaded
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _start() -> None:
    try:
        with _quiet_start():
            tensorflow = importlib.import_module("tensorflow")
            # Looks for devices now, with what it prints about them, without fixing which ones are used.
            tensorflow.config.list_physical_devices()
    except ImportError as error:
        raise MissingDependencyError("training needs TensorFlow: pip install tensorflow") from error
    # One warning a traced function: every picture has its own.
    tensorflow.get_logger().setLevel("ERROR")


_start()
