"""Makes the sentence in which a provider refuses a request safe to show and to log.

What may stay is decided by a list of words: names, numbers and other text of unknown origin are left out.
"""

from reasoning_grpc.litellm_model.failures.sentences.private_texts import PrivateTexts
from reasoning_grpc.litellm_model.failures.sentences.redaction import LONGEST_SENTENCE, MARK, redact_sentence
from reasoning_grpc.litellm_model.failures.sentences.unwrapping import join_location, unwrap_sentence

__all__ = ["LONGEST_SENTENCE", "MARK", "PrivateTexts", "join_location", "redact_sentence", "unwrap_sentence"]
