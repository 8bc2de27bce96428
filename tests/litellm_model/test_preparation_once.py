"""A call is prepared once, however often the adapter needs what its provider takes."""

from msgspec.structs import replace

from reasoning_grpc.domain import Sampling, Secret
from reasoning_grpc.litellm_model.request import prepare_call
from reasoning_grpc.llm import estimate_prompt_tokens
from tests.support.factories import a_call, a_deployment, a_message


def test_a_call_is_prepared_once_for_one_deployment() -> None:
    """The settings that the engine reports come from the preparation with which the call is then made."""
    call, deployment = a_call(), a_deployment()

    prepared = prepare_call(call, deployment)

    assert prepare_call(call, replace(deployment)) is prepared


def test_another_deployment_prepares_a_call_again() -> None:
    """A model whose entry has changed, or a default that the model has refused, gets a preparation of its own."""
    call = a_call()
    first = prepare_call(call, a_deployment(sampling=Sampling(temperature=0.5)))

    second = prepare_call(call, a_deployment(sampling=Sampling(top_p=0.5)))
    third = prepare_call(call, a_deployment(api_key=Secret("sk-secret")))

    samplings = [each.choose_call(call).sampling for each in (first, second, third)]
    assert samplings == [Sampling(temperature=0.5), Sampling(top_p=0.5), Sampling()]


def test_a_changed_copy_of_a_call_has_none_of_its_derived_values() -> None:
    """A copy with other content is counted and prepared by itself."""
    call, deployment = a_call(), a_deployment()
    prepared, tokens = prepare_call(call, deployment), estimate_prompt_tokens(call)

    longer = replace(call, messages=(a_message("word " * 100),))

    assert prepare_call(longer, deployment) is not prepared
    assert estimate_prompt_tokens(longer) > tokens
    assert estimate_prompt_tokens(call) == tokens
