"""`HeldImport`: an import in a process of the server that lasts as long as a test wants."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from tests.support.server_process import ServerFolder

LITELLM_MODULE: Final = "distro"
"""A module that litellm imports, by way of openai, and that nothing else does."""
WORKER_MODULE: Final = "grpc_reflection"
"""A package that a worker imports, and its supervisor does not."""

_MODULE: Final = """
import importlib, os, sys, time

parent = os.getppid()
while os.path.exists({held!r}):
    time.sleep(0.05)
    if os.getppid() != parent:  # the test has failed, and has killed the server
        os._exit(1)
sys.path.remove({folder!r})
del sys.modules[__name__]
importlib.import_module(__name__)  # the real one takes this one's place
"""


@dataclass(frozen=True)
class HeldImport:
    """A module that stands in front of the real one, and ends its import when it is released."""

    folder: Path

    @classmethod
    def create(cls, folder: Path, module: str) -> "HeldImport":
        """Writes the module into a new folder below this one. It is not held yet."""
        own = folder / "held"
        own.mkdir()
        (own / f"{module}.py").write_text(_MODULE.format(held=str(own / "hold"), folder=str(own)))
        return cls(own)

    def apply(self, server: ServerFolder) -> ServerFolder:
        """Returns the folder of a server whose processes import this module."""
        return replace(server, variables={**server.variables, "PYTHONPATH": str(self.folder)})

    def hold(self) -> None:
        """Lets the import last from now on, in each process that has not imported the module yet."""
        (self.folder / "hold").touch()

    def release(self) -> None:
        """Lets the import end."""
        (self.folder / "hold").unlink()
