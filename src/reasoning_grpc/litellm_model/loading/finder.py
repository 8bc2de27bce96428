"""`put_modules_off`: finds the modules that are put off while this thread imports litellm."""

import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from threading import get_ident
from types import ModuleType

from reasoning_grpc.litellm_model.loading.put_off import PutOffLoader
from reasoning_grpc.litellm_model.loading.re_exports import ReExportingLoader


@contextmanager
def put_modules_off(put_off: Collection[str], re_exporting: str) -> Iterator[None]:
    """Puts off the modules with these names that this thread imports in this block.

    A name that is imported from one of them in this block is a promise of it. After the block, a module that was put
    off runs when it is used, and others are imported as usual. The names of the package `re_exporting`, and of the
    packages in it, are imported one by one, also after the block.
    """
    finder = _Finder(put_off, re_exporting)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        finder.close()
        sys.meta_path.remove(finder)


class _Finder(MetaPathFinder):
    """Finds the modules, and has their loaders put them off."""

    def __init__(self, put_off: Collection[str], re_exporting: str) -> None:
        self._put_off = put_off
        self._re_exporting = re_exporting
        self._thread: int | None = get_ident()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """See `MetaPathFinder.find_spec`."""
        is_re_exporting = f"{fullname}.".startswith(f"{self._re_exporting}.")
        if not self._is_open() or not (is_re_exporting or fullname in self._put_off):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or not isinstance(spec.loader, SourceFileLoader):
            return spec
        if not is_re_exporting:
            spec.loader = PutOffLoader(spec.loader, self._is_open)
        elif spec.submodule_search_locations is not None:
            spec.loader = ReExportingLoader(spec.loader)
        return spec

    def close(self) -> None:
        """Puts nothing off any more."""
        self._thread = None

    def _is_open(self) -> bool:
        """Whether modules that this thread imports are put off."""
        return self._thread == get_ident()
