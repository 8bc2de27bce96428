"""Imports litellm with the modules that calls need, and puts the others off until they are used.

lean_import.py  imports litellm by the plan, and whole where the plan does not fit
plan.py         the modules that are put off
finder.py       puts them off while litellm is imported
put_off.py      PutOffModule runs when it is first used; Promise is what others import from it before
re_exports.py   packages that only import names from their modules: each name is imported when it is first used
shared_data.py  litellm's large tables: kept once, or loaded when they are first used
"""

from reasoning_grpc.litellm_model.loading.lean_import import import_lean
from reasoning_grpc.litellm_model.loading.shared_data import share_data

__all__ = ["import_lean", "share_data"]
