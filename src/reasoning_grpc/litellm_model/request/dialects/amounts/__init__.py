"""The amount of reasoning that a call requests, as its model takes it.

amount.py  what a model takes: efforts, budgets, or only on and off
table.py   models by name, with the provider's documentation as the source
models.py  finds what a model takes, by its name
rule.py    the one rule: refuses an amount, or replaces it by the nearest that the model takes
"""

from reasoning_grpc.litellm_model.request.dialects.amounts.amount import Amounts, TokenRange
from reasoning_grpc.litellm_model.request.dialects.amounts.models import describe_amounts, find_amounts, is_claude
from reasoning_grpc.litellm_model.request.dialects.amounts.rule import fit_amount, refuse_amount

__all__ = [
    "Amounts",
    "TokenRange",
    "describe_amounts",
    "find_amounts",
    "fit_amount",
    "is_claude",
    "refuse_amount",
]
