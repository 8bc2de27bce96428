"""`PutOffModule`: a module whose code runs when the module is first used. `Promise`: what others import from it before.

`importlib.util.LazyLoader` puts off `import module` alone: with `from module import name` it runs the module at once,
and litellm imports in this form.
"""

import importlib
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from threading import RLock
from types import ModuleType
from typing import Any, Union


class PutOffLoader(Loader):
    """Creates a `PutOffModule` in place of a module, and runs none of its code."""

    def __init__(self, loader: Loader, gives_promises: Callable[[], bool]) -> None:
        """`loader` runs the module when that is due. While `gives_promises` is true, nothing is due."""
        self._loader = loader
        self._gives_promises = gives_promises

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """See `Loader.create_module`."""
        return PutOffModule(spec.name, self._loader, self._gives_promises)

    def exec_module(self, module: ModuleType) -> None:
        """See `Loader.exec_module`."""
        set_loader(module, self._loader)


class PutOffModule(ModuleType):
    """A module of which no code has run. It becomes an ordinary module when a member of it is used."""

    def __init__(self, name: str, loader: Loader, gives_promises: Callable[[], bool]) -> None:
        super().__init__(name)
        self.__dict__["_put_off"] = (RLock(), loader, gives_promises)

    def __getattr__(self, name: str) -> Any:
        """Returns a member that is not there yet, or a promise of it while promises are given."""
        put_off = self.__dict__.get("_put_off")
        if put_off is None or name.startswith("__"):
            raise _lack(self, name)
        _, _, gives_promises = put_off
        if gives_promises():
            return Promise(lambda: _find_member(self, name), gives_promises)
        return _find_member(self, name)


class Promise:
    """Stands for a member of a module that is put off, and does for its users what the member does."""

    __slots__ = ("_find", "_found", "_gives_promises")

    def __init__(self, find: Callable[[], Any], gives_promises: Callable[[], bool] = lambda: False) -> None:
        """`find` returns the member. While `gives_promises` is true, a call of the promise gives another promise."""
        self._find = find
        self._gives_promises = gives_promises
        self._found: list[Any] = []

    def resolve(self) -> Any:
        """Returns the member itself."""
        if not self._found:
            self._found.append(self._find())
        return self._found[0]

    def __getattr__(self, name: str) -> Any:
        """Returns an attribute of the member."""
        return getattr(self.resolve(), name)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Calls the member, or promises the result: litellm creates its handlers while it is imported."""
        if self._gives_promises():
            return Promise(lambda: self.resolve()(*arguments, **named), self._gives_promises)
        return self.resolve()(*arguments, **named)

    def __instancecheck__(self, instance: object) -> bool:
        """Whether an object is an instance of the member, which is then a class."""
        return isinstance(instance, self.resolve())

    def __subclasscheck__(self, subclass: type) -> bool:
        """Whether a class is a subclass of the member, which is then a class."""
        return issubclass(subclass, self.resolve())

    def __or__(self, other: Any) -> "Promise":
        """Returns a promise of the union of two types, as annotations have it."""
        return Promise(lambda: Union[self.resolve(), other], self._gives_promises)  # noqa: UP007 - not of two values

    def __ror__(self, other: Any) -> "Promise":
        """Returns a promise of the union of two types, as annotations have it."""
        return Promise(lambda: Union[other, self.resolve()], self._gives_promises)  # noqa: UP007 - not of two values

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[Any, ...]:
        """Returns the member, of which a class is to be derived."""
        return (self.resolve(),)


def set_loader(module: ModuleType, loader: Loader) -> None:
    """Sets the loader that a module has, as others are to see it."""
    module.__loader__ = loader
    if module.__spec__ is not None:
        module.__spec__.loader = loader


def _find_member(module: ModuleType, name: str) -> Any:
    """Runs a module, and returns one of its members, which may be a module in a package. Raises AttributeError."""
    _run(module)
    with suppress(AttributeError):
        return ModuleType.__getattribute__(module, name)  # not ours, which would look for it here again
    if hasattr(module, "__path__") and find_spec(f"{module.__name__}.{name}") is not None:
        return importlib.import_module(f"{module.__name__}.{name}")
    raise _lack(module, name)


def _lack(module: ModuleType, name: str) -> AttributeError:
    return AttributeError(f"module {module.__name__!r} has no attribute {name!r}", name=name, obj=module)


def _run(module: ModuleType) -> None:
    """Runs the code of a module that is put off, once, after that of its package. Raises what the code raises."""
    if (put_off := module.__dict__.get("_put_off")) is None:
        return
    if package := sys.modules.get(module.__name__.rpartition(".")[0]):
        _run(package)
    lock, loader, _ = put_off
    with lock:
        if type(module) is not PutOffModule or "_is_running" in module.__dict__:
            return
        module.__dict__["_is_running"] = True
        try:
            loader.exec_module(module)
        finally:
            del module.__dict__["_is_running"]
        del module.__dict__["_put_off"]
        object.__setattr__(module, "__class__", ModuleType)
