"""What every command that prints through rich needs."""

from rich.console import Console


class PipedConsole(Console):
    """A console whose output may be piped into something that ends early."""

    def on_broken_pipe(self) -> None:
        """Rich would exit with 1 here; `main` knows what a closed pipe means."""
        raise BrokenPipeError


def harmless(text: str) -> str:
    """The text without what would steer the terminal: a model may have been talked into writing it."""
    return "".join(character for character in text if character.isprintable() or character in "\n\t")
