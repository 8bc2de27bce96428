"""`describe_model`: a model of the list in one line, for a person."""

from reasoning_grpc.v1 import models_pb2


def describe_model(model: models_pb2.Model) -> str:
    """Returns the model's name, its facts in parentheses, and its description."""
    notes = [model.provider, _name_value(models_pb2.ModelState.Name(model.state))]
    if model.is_default:
        notes.append("default")
    if model.limits.HasField("context_window_tokens"):
        notes.append(f"{model.limits.context_window_tokens} tokens")
    notes += _describe_prices(model.prices)
    notes += [_name_value(models_pb2.ModelCapability.Name(capability)) for capability in model.capabilities]
    line = f"{model.name}  ({', '.join(notes)})"
    return f"{line}  {model.description}" if model.description else line


def _describe_prices(model_prices: models_pb2.ModelPrices) -> list[str]:
    """Returns the prices of a million tokens of prompt and answer, and whether long prompts cost more."""
    prices = model_prices.base
    if not (prices.HasField("input_nano_usd_per_million") and prices.HasField("output_nano_usd_per_million")):
        return []
    dollars = [
        f"${number / 1_000_000_000:g}"
        for number in (prices.input_nano_usd_per_million, prices.output_nano_usd_per_million)
    ]
    more = " or more" if model_prices.tiers else ""
    return [f"{dollars[0]} in and {dollars[1]} out{more} per million tokens"]


def _name_value(name: str) -> str:
    """Returns an enum value without its prefix: MODEL_STATE_AVAILABLE becomes "available"."""
    for prefix in ("MODEL_STATE_", "MODEL_CAPABILITY_", "ROUTE_SOURCE_"):
        name = name.removeprefix(prefix)
    return name.lower().replace("_", " ")
