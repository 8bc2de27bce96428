"""`WireCheck`: makes the body that litellm has built hold what was requested, and nothing else.

litellm is asked in the OpenAI protocol, so for a provider of this protocol we know the whole body. litellm decides
the names of parameters, and which of them a model takes. Everything else comes from the request itself: what litellm
has added is removed, lists and objects that it has changed are restored, and what it has left out is refused, like a
number or a word that it has changed. So no change in litellm can alter a request in silence.
"""

from collections.abc import Mapping
from typing import Any, Final

from reasoning_grpc.domain.errors import FieldViolation, UpstreamParameterUnsupported
from reasoning_grpc.litellm_model.request.bodies.body_plan import BodyPlan, describe_shape
from reasoning_grpc.litellm_model.request.bodies.members import join_members
from reasoning_grpc.litellm_model.request.bodies.wire_rules import WireRules
from reasoning_grpc.litellm_model.request.dialects.dialect import NOT_TAKEN
from reasoning_grpc.litellm_model.request.fields import FIELD_OF_PARAMETER

_OTHER_NAMES: Final[Mapping[str, str]] = {"max_tokens": "max_completion_tokens"}
"""Names that litellm gives parameters of some models."""
_NOT_REQUESTED: Final = frozenset({"stream", "stream_options"})
"""Parameters that nobody requests; where litellm leaves them out, the provider answers without them."""
_CONSTANT: Final = frozenset({"usage"})
"""Members that litellm adds to every body of a provider."""
_FOR_LITELLM: Final = frozenset({"extra_body", "allowed_openai_params"})
"""Arguments that are for litellm itself."""

_CONTAINERS: Final = (dict, list)


class WireCheck:
    """Makes the body of one call hold what was requested."""

    def __init__(
        self, arguments: Mapping[str, Any], options: Mapping[str, Any], rules: WireRules, *, model: str
    ) -> None:
        """`arguments` are those of litellm, which nobody may edit; `model` is the name of the model in errors.

        `options` are the provider's own parameters, which win over the arguments.
        """
        self._rules = rules
        self._model = model
        requested = {name: value for name, value in arguments.items() if name not in _FOR_LITELLM}
        if rules.rewrite is not None:
            rules.rewrite(requested)
        if extra := arguments.get("extra_body"):
            requested = join_members(requested, extra)
        self._requested = join_members(requested, options) if options else requested

    def describe_shape(self) -> tuple[object, ...]:
        """Returns all that may decide how litellm writes the parameters."""
        return describe_shape(self._requested)

    def write(self, plan: BodyPlan) -> dict[str, Any]:
        """Returns the body to send, by a plan for parameters of this shape."""
        return plan.write(self._requested)

    def plan(self, body: Mapping[str, Any]) -> BodyPlan | None:
        """Returns the plan behind a body of litellm's that `correct` takes; None if it holds for no other call."""
        fixed = {name: body[name] for name in ("model", *_CONSTANT) if name in body}
        names: dict[str, str] = {}
        for name in (*self._find_requested_additions(), *self._requested):
            wire_name = self._find_wire_name(name, body)
            if wire_name in body or name in self._rules.restored:
                names[name] = wire_name
            elif name not in _NOT_REQUESTED:
                return None  # its value is written in another way
        is_whole = self._rules.additions & body.keys() <= _CONSTANT | set(names.values())
        return BodyPlan(fixed, names) if is_whole else None

    def _find_requested_additions(self) -> list[str]:
        """Returns the parameters that litellm may also add by itself, which come first in a body."""
        return sorted(self._rules.additions & self._requested.keys())

    def correct(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the body to send. Raises UpstreamParameterUnsupported for what the model does not take."""
        corrected = {name: body[name] for name in ("model", *sorted(self._rules.additions)) if name in body}
        refused = [name for name in self._requested if not self._correct_parameter(name, body, corrected)]
        if refused:
            known = {**FIELD_OF_PARAMETER, **self._rules.rewritten_fields}
            fields = dict.fromkeys(known.get(name, "provider_options") for name in refused)
            violations = tuple(FieldViolation(field, NOT_TAKEN) for field in fields)
            raise UpstreamParameterUnsupported(model=self._model, is_upstream_reached=False, violations=violations)
        return corrected

    def _correct_parameter(self, name: str, body: Mapping[str, Any], corrected: dict[str, Any]) -> bool:
        """Writes a parameter into the corrected body; returns whether the model takes it."""
        value, rules = self._requested[name], self._rules
        wire_name = self._find_wire_name(name, body)
        if wire_name not in body and name not in rules.restored:
            replacement = rules.replacements.get(name)
            return name in _NOT_REQUESTED or (replacement is not None and replacement(value, body))
        is_changed = not isinstance(value, _CONTAINERS) and body.get(wire_name) != value
        if is_changed and name not in rules.restored:
            return False
        corrected[wire_name] = value
        return True

    @staticmethod
    def _find_wire_name(name: str, body: Mapping[str, Any]) -> str:
        return name if name in body else _OTHER_NAMES.get(name, name)


def copy_arguments(value: Any) -> Any:
    """Copies arguments for litellm, which edits what it gets; texts and data are not copied."""
    if isinstance(value, dict):
        return {name: copy_arguments(each) if isinstance(each, _CONTAINERS) else each for name, each in value.items()}
    return [copy_arguments(each) if isinstance(each, _CONTAINERS) else each for each in value]
