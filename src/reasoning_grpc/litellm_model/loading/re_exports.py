"""`ReExportingLoader`: loads a package that only imports names from its own modules; each when it is first used.

`openai.types` is such a package: it imports 700 modules, of which litellm uses a third.
"""

import ast
import importlib
from collections.abc import Iterable, Mapping
from importlib.abc import Loader
from importlib.machinery import ModuleSpec, SourceFileLoader
from types import ModuleType
from typing import Any

from reasoning_grpc.litellm_model.loading.put_off import set_loader


class ReExportingLoader(Loader):
    """Loads a package whose names it imports on demand."""

    def __init__(self, loader: SourceFileLoader) -> None:
        """`loader` has the source of the package, and runs it where it does anything else."""
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """See `Loader.create_module`."""
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """See `Loader.exec_module`."""
        set_loader(module, self._loader)
        origins = find_re_exports(self._loader.get_data(self._loader.path))
        if origins is None:
            self._loader.exec_module(module)
            return

        def import_name(name: str) -> Any:
            if (origin := origins.get(name)) is None:
                raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
            value = getattr(importlib.import_module(f"{module.__name__}.{origin[0]}"), origin[1])
            setattr(module, name, value)
            return value

        module.__dict__["__getattr__"] = import_name
        module.__dict__["__dir__"] = lambda: sorted({*module.__dict__, *origins})


def find_re_exports(source: bytes) -> Mapping[str, tuple[str, str]] | None:
    """Returns the module and the name there of each name that a package imports; None if it does anything else."""
    statements = [each for each in ast.parse(source).body if not _is_harmless(each)]
    if not all(isinstance(each, ast.ImportFrom) and each.level == 1 and each.module for each in statements):
        return None
    return dict(_list_names(each for each in statements if isinstance(each, ast.ImportFrom)))


def _is_harmless(statement: ast.stmt) -> bool:
    """Whether a statement is a docstring or an import from `__future__`."""
    if isinstance(statement, ast.ImportFrom):
        return statement.module == "__future__"
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _list_names(statements: Iterable[ast.ImportFrom]) -> Iterable[tuple[str, tuple[str, str]]]:
    for statement in statements:
        for alias in statement.names:
            yield alias.asname or alias.name, (statement.module or "", alias.name)
