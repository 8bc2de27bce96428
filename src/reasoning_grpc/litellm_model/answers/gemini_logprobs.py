"""Converts the log probabilities in an answer of Google's Gemini API."""

from reasoning_grpc.domain.events import AlternativeToken, TokenLogprob
from reasoning_grpc.litellm_model.lenient import Json, read_float, read_list, read_object, read_objects, read_text


def read_gemini_logprobs(result: object) -> tuple[TokenLogprob, ...]:
    """Converts the log probabilities of a candidate; empty where it has none."""
    members = read_object(result)
    alternatives = read_list(members.get("topCandidates"))
    return tuple(
        TokenLogprob(
            _read_token(chosen),
            _read_logprob(chosen),
            alternatives=tuple(map(_read_alternative, _list_candidates(alternatives, index))),
        )
        for index, chosen in enumerate(read_objects(members.get("chosenCandidates")))
    )


def _list_candidates(alternatives: list[object], index: int) -> list[Json]:
    """Returns the tokens that the model might have chosen at this place."""
    return read_objects(read_object(alternatives[index]).get("candidates")) if index < len(alternatives) else []


def _read_alternative(candidate: Json) -> AlternativeToken:
    return AlternativeToken(_read_token(candidate), _read_logprob(candidate))


def _read_token(candidate: Json) -> str:
    return read_text(candidate.get("token"))


def _read_logprob(candidate: Json) -> float:
    return read_float(candidate.get("logProbability"))
