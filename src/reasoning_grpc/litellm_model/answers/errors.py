"""The faults of an answer that arrived. `failures` converts them to our errors."""


class MalformedAnswer(ValueError):
    """The answer is not in the form of its protocol."""


class ErrorInAnswer(Exception):
    """The upstream reported an error inside an answer. `failures` reads the error, and nothing else does."""

    def __init__(self, error: object) -> None:
        super().__init__("an error inside the answer")
        self.error = error
