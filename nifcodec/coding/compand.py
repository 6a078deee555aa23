import numpy as np
UNIT = 64
FEATURE_MAX = 127
COMPAND_LIMIT = 128 * UNIT
COMPAND_TABLE = np.rint(22 * np.arcsinh(np.arange(-COMPAND_LIMIT, COMPAND_LIMIT + 1) / UNIT)).astype(np.int8)
