"""The import of litellm: what it leaves for later is still there, and a server imports none of it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from reasoning_grpc.litellm_model.loading.plan import FIRST_CALL, PUT_OFF
from tests.support.commands import build_environment

ROOT: Final = Path(__file__).parents[2]
UNUSED_PACKAGES: Final = (
    "boto3",
    "botocore",
    "fastapi",
    "huggingface_hub",
    "jinja2",
    "mcp",
    "numpy",
    "pydantic_settings",
    "redis",
    "requests",
    "tokenizers",
    "urllib3",
    "uvicorn",
    "yaml",
)
"""Packages that litellm can use, and a server that answers calls must not import."""
PROVIDERS: Final = ("openai", "groq", "responses", "anthropic", "gemini")

DESCRIBE_MEMBERS: Final = """
import json, types

def describe(value):
    if type(value).__name__ == "Promise":
        value = value.resolve()
    return getattr(value, "__module__", ""), getattr(value, "__qualname__", type(value).__qualname__)

members = list(vars(litellm).items())
print(json.dumps({name: describe(value) for name, value in members if not isinstance(value, types.ModuleType)}))
"""
"""Prints where each member of litellm is from, but for modules, which are members once somebody imports them."""


UNREACHED: Final = (
    *("clarifai", "cohere", "databricks", "gdc", "heroku", "huggingface", "lemonade", "nlp_cloud", "oci", "petals"),
    *("predibase", "sagemaker", "sap", "vertex_ai", "watsonx"),
)
"""Prefixes whose handlers the plan puts off."""
TRY_CALLS: Final = f"""
import asyncio, json, re

async def try_call(prefix):
    where = {{"api_base": "http://127.0.0.1:9", "api_key": "none", "max_retries": 0, "num_retries": 0}}
    try:
        await litellm.acompletion(model=f"{{prefix}}/model", messages=[{{"role": "user", "content": "hi"}}], **where)
    except Exception as exc:
        return re.sub("0x[0-9a-f]+", "", f"{{type(exc).__name__}}: {{str(exc)[:200]}}")

async def main():
    return {{prefix: await try_call(prefix) for prefix in {UNREACHED}}}

litellm.suppress_debug_info = True
print(json.dumps(asyncio.run(main())))
"""
"""Prints how a call of each of these prefixes fails, at an address where nobody listens or before that."""

PLAIN: Final = "import litellm"
LEAN: Final = "from reasoning_grpc.litellm_model.loading import import_lean\nlitellm = import_lean()"


def run_program(program: str) -> Any:
    """Runs a program in a new process, and returns the JSON that it prints last."""
    ran = subprocess.run(
        [sys.executable, "-c", program],
        check=True,
        timeout=200,
        cwd=ROOT,
        env=build_environment({"LITELLM_LOCAL_MODEL_COST_MAP": "True", "AWS_EC2_METADATA_DISABLED": "true"}),
        stdout=subprocess.PIPE,
    )
    return json.loads(ran.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def first_calls() -> dict[str, Any]:
    """Returns what a server imported before and during one call of each provider."""
    command = [sys.executable, "-m", "tests.support.first_call", *PROVIDERS]
    ran = subprocess.run(command, check=True, timeout=200, cwd=ROOT, env=build_environment({}), stdout=subprocess.PIPE)
    report: dict[str, Any] = json.loads(ran.stdout)
    return report


@pytest.mark.process
def test_a_server_imports_nothing_that_calls_do_not_need(first_calls: dict[str, Any]) -> None:
    """After a call of each provider, no module of the plan has run, and no unused package is imported."""
    imported = {*first_calls["at_start"], *first_calls["by_calls"]}

    assert not imported & PUT_OFF
    assert not [name for name in imported if name.partition(".")[0] in UNUSED_PACKAGES]
    assert "litellm.proxy.proxy_server" not in imported


@pytest.mark.process
def test_the_first_call_imports_nothing(first_calls: dict[str, Any]) -> None:
    """Readiness comes after all imports: the first calls of the providers that were warmed up import hardly anything.

    The answers that litellm reads itself still need one small module of it.
    """
    late = [name for name in first_calls["by_calls"] if "streaming_chunk_builder_utils" not in name]

    assert late in ([], ["litellm.types.litellm_core_utils"])


@pytest.mark.process
def test_no_large_table_is_loaded(first_calls: dict[str, Any]) -> None:
    """Calls load no tokenizer, and decode no more of litellm's price map than the entries of their models."""
    assert first_calls["encodings"] == []
    assert first_calls["decoded_prices"] <= len(PROVIDERS)


@pytest.mark.process
def test_every_row_of_the_plan_is_put_off() -> None:
    """litellm imports each module of the plan, and none of their code runs. A row that it no longer imports must go."""
    program = """
import json, sys
from reasoning_grpc.litellm_model import library
library.import_litellm()
print(json.dumps({name: type(module).__name__ for name, module in sys.modules.items()}))
"""
    kinds = run_program(program)

    assert {name: kinds.get(name) for name in sorted(PUT_OFF)} == dict.fromkeys(sorted(PUT_OFF), "PutOffModule")
    assert {name: kinds.get(name) for name in FIRST_CALL} == dict.fromkeys(FIRST_CALL, "module")


@pytest.mark.process
def test_everything_that_litellm_offers_is_there() -> None:
    """Each member of litellm is the same as after a plain import, once it is used."""
    plain = run_program(f"{PLAIN}\n{DESCRIBE_MEMBERS}")
    lean = run_program(f"{LEAN}\n{DESCRIBE_MEMBERS}")

    del plain["print_verbose"]  # litellm has two, and which one it offers depends on the order of its imports
    assert {name: lean.get(name) for name in plain} == plain


@pytest.mark.process
def test_a_call_whose_handler_is_put_off_goes_as_ever() -> None:
    """Calls of providers whose handlers are put off get as far as after a plain import, and fail in the same words."""
    assert run_program(f"{LEAN}\n{TRY_CALLS}") == run_program(f"{PLAIN}\n{TRY_CALLS}")


@pytest.mark.process
def test_litellm_is_imported_whole_where_the_plan_does_not_fit() -> None:
    """A version of litellm that needs a module at once which the plan puts off is imported whole, and the log warns."""
    program = """
import json, logging, sys
logging.basicConfig(stream=sys.stdout, format="%(message)s")
from reasoning_grpc.litellm_model.loading import import_lean
from reasoning_grpc.litellm_model.loading.plan import PUT_OFF
litellm = import_lean({*PUT_OFF, "litellm.decisions.call"})  # pydantic reads its types while litellm is imported
kinds = [type(module).__name__ for module in sys.modules.values()]
print(json.dumps({"works": litellm.get_llm_provider("groq/x")[1], "put_off": kinds.count("PutOffModule")}))
"""
    ran = subprocess.run(
        [sys.executable, "-c", program],
        check=True,
        timeout=200,
        env=build_environment({"LITELLM_LOCAL_MODEL_COST_MAP": "True"}),
        stdout=subprocess.PIPE,
    )

    *log, report = ran.stdout.splitlines()
    assert json.loads(report) == {"works": "groq", "put_off": 0}
    assert b"litellm is imported whole, which takes longer" in log


@pytest.mark.process
def test_a_litellm_with_other_tables_keeps_them() -> None:
    """A version of litellm whose tables are elsewhere works as it is."""
    program = """
import json
import litellm._lazy_imports
del litellm._lazy_imports.get_default_encoding
from reasoning_grpc.litellm_model import library
print(json.dumps(type(library.import_litellm().model_cost).__name__))
"""
    assert run_program(program) == "dict"
