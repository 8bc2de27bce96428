"""What can be wrong with an answer that arrived; `failures` converts it to errors of ours."""


class MalformedAnswer(ValueError):
    """The answer is not in the form of its protocol."""


class ErrorInAnswer(Exception):
    """The upstream reported an error inside an answer. `failures` reads the error; nobody is shown it."""

    def __init__(self, error: object) -> None:
        super().__init__("an error inside the answer")
        self.error = error
