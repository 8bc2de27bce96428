"""`import_lean`: imports litellm without the modules that calls do not need."""

import importlib
import logging
import sys
from collections.abc import Collection
from contextlib import suppress
from typing import Any

from reasoning_grpc.litellm_model.loading.finder import put_modules_off
from reasoning_grpc.litellm_model.loading.plan import FIRST_CALL, PUT_OFF, RE_EXPORTING

logger = logging.getLogger("reasoning_grpc.litellm")


def import_lean(put_off: Collection[str] = PUT_OFF) -> Any:
    """Returns the module litellm, imported without the modules `put_off`.

    Where a version of litellm, or of what it imports, cannot be imported so, it is imported whole, and the log warns.
    """
    known = set(sys.modules)
    try:
        with put_modules_off(put_off, RE_EXPORTING):
            litellm = importlib.import_module("litellm")
            for name in FIRST_CALL:
                with suppress(ModuleNotFoundError):  # another version may not have it, and then imports it nowhere
                    importlib.import_module(name)
    except Exception as exc:
        logger.warning("litellm is imported whole, which takes longer", extra={"error": f"{type(exc).__name__}: {exc}"})
        _forget(set(sys.modules) - known)
        return importlib.import_module("litellm")
    return litellm


def _forget(modules: Collection[str]) -> None:
    """Forgets those of the imported modules that belong to the packages of the plan, so that they are imported anew."""
    packages = {name.partition(".")[0] for name in (*PUT_OFF, RE_EXPORTING)}
    for name in modules:
        if name.partition(".")[0] in packages:
            del sys.modules[name]
