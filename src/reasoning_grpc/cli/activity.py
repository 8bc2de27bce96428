"""`Activity`: shows on the last line of a terminal what is in progress."""

from typing import Final

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from reasoning_grpc.cli.console import remove_control_characters

_STYLE: Final = "dim"
_FRAMES_PER_SECOND: Final = 10


class Activity:
    """A spinner with a text, below everything that the console prints; without a terminal it shows nothing."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._spinner = Spinner("dots", style=_STYLE)
        self._live: Live | None = None

    def show(self, text: str) -> None:
        """Shows this text instead of the text before."""
        if not self._console.is_terminal or self._console.is_dumb_terminal:
            return
        self._spinner.update(text=Text(remove_control_characters(text), _STYLE))
        if self._live is None:
            self._live = self._start_live()
        self._live.refresh()

    def _start_live(self) -> Live:
        live = Live(
            self._spinner,
            console=self._console,
            refresh_per_second=_FRAMES_PER_SECOND,
            transient=True,
            # Rich must not redirect standard output, to which another console prints the answer.
            redirect_stdout=False,
            redirect_stderr=False,
        )
        live.start()
        return live

    def stop(self) -> None:
        """Removes the spinner; it may be shown again."""
        if self._live is not None:
            self._live.stop()
            self._live = None
