"""`prepare_call`: refuses or changes what a provider takes otherwise, before litellm converts the call."""

from functools import partial
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from reasoning_grpc.domain import Deployment, EffectiveSetting, ReasoningOptions, Wire
from reasoning_grpc.domain.errors import FieldViolation
from reasoning_grpc.litellm_model.origins import leave_out_foreign_values
from reasoning_grpc.litellm_model.request.defaults import merge_defaults
from reasoning_grpc.litellm_model.request.dialects import Dialect, find_dialect
from reasoning_grpc.litellm_model.request.dialects.amounts import Amounts, find_amounts, fit_amount, refuse_amount
from reasoning_grpc.litellm_model.request.model_names import name_deciding_model
from reasoning_grpc.litellm_model.request.reasoning_forms import leave_out_reasoning
from reasoning_grpc.litellm_model.request.wire_choice import choose_wire
from reasoning_grpc.llm import ModelCall

_NO_AMOUNT: Final = ReasoningOptions()


class PreparedCall(Struct, frozen=True):
    """A call as its provider takes it."""

    changed_call: ModelCall | None
    """The call with what the provider takes otherwise; None where that is nothing.

    It is never the call that keeps this: they would hold each other until the garbage collector finds them.
    """
    deployment: Deployment
    """The deployment for which it was prepared."""
    wire: Wire = Wire.CHAT
    """The API through which it goes."""
    settings: tuple[EffectiveSetting, ...] = ()
    """The settings that take effect otherwise than requested."""
    violations: tuple[FieldViolation, ...] = ()
    """The fields that the provider does not take; the call must not be sent when there are any."""

    def choose_call(self, call: ModelCall) -> ModelCall:
        """Returns the call to send for this one, which was prepared."""
        return call if self.changed_call is None else self.changed_call


def prepare_call(call: ModelCall, deployment: Deployment) -> PreparedCall:
    """Returns the call as the provider of the deployment takes it, with the defaults of its model.

    It is kept with the call, because the engine reports the settings of a call before it makes the call.
    """
    kept = call.derived.preparation
    if isinstance(kept, PreparedCall) and (kept.deployment is deployment or kept.deployment == deployment):
        return kept
    prepared = call.derived.preparation = _prepare(call, deployment)
    return prepared


def _prepare(requested: ModelCall, deployment: Deployment) -> PreparedCall:
    call = requested
    own_call, foreign_setting = leave_out_foreign_values(call, deployment)
    wire = choose_wire(own_call, deployment).wire
    dialect, model = find_dialect(deployment.provider, wire), name_deciding_model(deployment)
    amounts = find_amounts(deployment, wire)
    call, violations = merge_defaults(call, deployment.sampling, partial(_find_violations, dialect, model, amounts))
    settings = [setting for report in dialect.reports for setting in report(call, model)]
    if own_call.messages is not call.messages:
        call = replace(call, messages=own_call.messages)
    if foreign_setting is not None:
        settings.append(foreign_setting)
    if wire is Wire.CHAT:
        call, setting = leave_out_reasoning(call, deployment)
        if setting is not None:
            settings.append(setting)
    if violations:
        return PreparedCall(None if call is requested else call, deployment, wire, tuple(settings), violations)
    call, setting = fit_amount(call, amounts)
    if setting is not None:
        settings.append(setting)
    for change in dialect.changes:
        call, setting = change(call, model)
        if setting is not None:
            settings.append(setting)
    return PreparedCall(None if call is requested else call, deployment, wire, tuple(settings))


def _find_violations(dialect: Dialect, model: str, amounts: Amounts, call: ModelCall) -> tuple[FieldViolation, ...]:
    """Returns the fields that the provider does not take, beside an amount of reasoning that the model takes."""
    amount: tuple[FieldViolation, ...] = ()
    if call.reasoning != _NO_AMOUNT:
        amount = tuple(refuse_amount(call, amounts))
        call = replace(call, reasoning=_NO_AMOUNT) if amount else fit_amount(call, amounts)[0]
    return (*amount, *(violation for refuse in dialect.refusals for violation in refuse(call, model)))
