"""An independent oracle of what a request means: as it was asked, and as it left for a provider.

It knows the providers' protocols by their documentation, and imports nothing of the product but the generated stubs.
"""

from tests.support.wire_meaning.asked import EntryDefaults, read_request
from tests.support.wire_meaning.comparison import Difference, find_differences
from tests.support.wire_meaning.meaning import Meaning, MeaningPart, Turn, UnreadableBody
from tests.support.wire_meaning.protocols import read_body

__all__ = [
    "Difference",
    "EntryDefaults",
    "Meaning",
    "MeaningPart",
    "Turn",
    "UnreadableBody",
    "find_differences",
    "read_body",
    "read_request",
]
