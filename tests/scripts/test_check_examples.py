"""What checks the programs of examples/: `make examples` itself runs them."""

from scripts.check_examples import CONFIGURATION, ON_A_SCRIPTED_MODEL, ON_THE_EMBEDDED_MODEL, configure, find_missing
from scripts.pages import ROOT, find_links

EXAMPLES = ROOT / "examples"


def test_every_program_is_run_and_listed() -> None:
    """Each program of the folder has an expectation, and the page of the folder leads to it."""
    helper = "stock_server.py"  # the configuration starts it
    programs = {file.name for file in EXAMPLES.glob("*.py")}

    assert {example.program for example in (*ON_THE_EMBEDDED_MODEL, *ON_A_SCRIPTED_MODEL)} == programs - {helper}
    assert helper in CONFIGURATION.read_text("utf-8")
    assert programs <= set(find_links(EXAMPLES.joinpath("README.md").read_text("utf-8")))


def test_patterns_must_be_found_in_their_order() -> None:
    """The first pattern that is not found after those before it is the one that is named."""
    output = "one\ntwo\n"

    assert find_missing(("^one$", "^two$"), output) is None
    assert find_missing(("^two$", "^one$"), output) == "^one$"
    assert find_missing(("^three$",), output) == "^three$"


def test_the_scripted_model_stands_beside_the_mcp_server() -> None:
    """The configuration of the scripted model is that of the examples, and one model."""
    configuration = configure("http://127.0.0.1:1/v1")

    assert configuration.startswith(CONFIGURATION.read_text("utf-8"))
    assert 'api_base = "http://127.0.0.1:1/v1"' in configuration
