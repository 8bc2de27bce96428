"""`ReadingPace`: how the answers of upstreams are read while the process has more to do than it can."""


class ReadingPace:
    """The pause between two reads of one upstream's answer, which all answers share and look at anew each time.

    Each read costs much the same, however many tokens it brings. So with pauses the same work serves more streams, and
    tokens leave in groups.
    """

    __slots__ = ("pause_seconds",)

    def __init__(self) -> None:
        self.pause_seconds = 0.0
        """0: an answer is read as soon as something of it has arrived."""
