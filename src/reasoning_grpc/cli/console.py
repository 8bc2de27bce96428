"""The console of the commands that print through rich, and the cleaning of text for a terminal."""

from rich.console import Console


class PipedConsole(Console):
    """A console whose output may be piped into a program that ends early."""

    def on_broken_pipe(self) -> None:
        """Raises BrokenPipeError, which `main` handles; rich itself would exit with 1."""
        raise BrokenPipeError


def remove_control_characters(text: str) -> str:
    """Returns the text without characters that control the terminal, which somebody may have made a model write."""
    return "".join(character for character in text if character.isprintable() or character in "\n\t")
