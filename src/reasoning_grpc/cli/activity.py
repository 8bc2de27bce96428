"""`Activity`: what is being done now, on the last line of a terminal."""

from typing import Final

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from reasoning_grpc.cli.console import harmless

_STYLE: Final = "dim"
_FRAMES_PER_SECOND: Final = 10


class Activity:
    """A spinner with words, below what the console prints meanwhile; nothing where there is no terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._spinner = Spinner("dots", style=_STYLE)
        self._live: Live | None = None

    def show(self, words: str) -> None:
        """Shows what is being done, instead of what was."""
        if not self._console.is_terminal or self._console.is_dumb_terminal:
            return
        self._spinner.update(text=Text(harmless(words), _STYLE))
        if self._live is None:
            self._live = self._begun()
        self._live.refresh()

    def _begun(self) -> Live:
        live = Live(
            self._spinner,
            console=self._console,
            refresh_per_second=_FRAMES_PER_SECOND,
            transient=True,
            # Standard output is left alone: the answer goes there, by another console.
            redirect_stdout=False,
            redirect_stderr=False,
        )
        live.start()
        return live

    def stop(self) -> None:
        """Leaves the line to others; it may be shown again."""
        if self._live is not None:
            self._live.stop()
            self._live = None
