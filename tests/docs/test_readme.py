"""The documentation says what is so."""

import ast
import re
from pathlib import Path
from typing import Final

import pytest

from reasoning_grpc.config import Config, read_config
from reasoning_grpc.domain import ReasoningEnd
from reasoning_grpc.rpc.status import CODES
from reasoning_grpc.server.config_check import find_config_problems
from reasoning_grpc.telemetry import FAMILIES
from scripts.metrics_table import replace_table as replace_metrics
from scripts.options_table import replace_table
from scripts.pages import ROOT, find_anchors, find_blocks, find_links, read_pages

PAGES: Final = read_pages()
README: Final = PAGES["README.md"]
OTHER_PAGES: Final = [
    *ROOT.glob("*.md"),
    *ROOT.glob("clients/*/README.md"),
    *ROOT.glob("docs/**/*.md"),
    *ROOT.glob("examples/*.md"),
]
REPOSITORY: Final = re.compile(r"https://github\.com/reasoning-grpc/reasoning-grpc/(?:blob|tree)/main/([^#]+)")
HASH: Final = "<what `reasoning-grpc token new` printed>"
CONFIGURATIONS: Final = [
    pytest.param(block.text, id=f"{path}-{number}")
    for path, page in PAGES.items()
    for number, block in enumerate(find_blocks(page, "toml"), start=1)
]


def read_example(example: str, folder: Path) -> Config:
    """Reads a configuration that a page shows, with a real hash, and with every variable and file that it names."""
    for name in re.findall(r'^#? ?agent_\w+_prompt = "([\w.]+)"', example, re.MULTILINE):
        (folder / name).write_text("{tools} {max_steps}")
    text = re.sub(r'^# (agent_\w+_prompt = ")', rf"\1{folder}/", example, flags=re.MULTILINE)
    file = folder / "reasoning.toml"
    file.write_text(text.replace(HASH, "0" * 64))
    variables = re.findall(r'\w+_env = "(\w+)"', example)
    variables += [
        name for names in re.findall(r"headers_env = \{(.*)\}", example) for name in re.findall(r'"(\w+)"', names)
    ]
    variables += re.findall(r'"(\w+)"', "".join(re.findall(r"^env = \[(.*)\]", example, re.MULTILINE)))
    variables += re.findall(r'= "([A-Z_]+_KEY)"', example)
    environment = dict.fromkeys(variables, "user:secret")  # it is taken for keys and for credentials
    if "litellm_proxy/" in example and "api_base" not in example:
        environment["LITELLM_BASE_URL"] = "http://127.0.0.1:4000"
    models = re.findall(r"^\[models\.(\w+)\]", example, re.MULTILINE)
    flags = {} if "default_model" in example or not models else {"default_model": models[0]}
    return read_config(flags=flags, environment=environment, file=file)


def test_the_options_are_those_of_the_code() -> None:
    """The table of options is the one that scripts/options_table.py writes."""
    page = PAGES["docs/configuration.md"]

    assert replace_table(page) == page


def test_the_metrics_are_those_of_the_code() -> None:
    """The table of metrics is the one that scripts/metrics_table.py writes, with every metric once."""
    page = PAGES["docs/telemetry.md"]

    assert replace_metrics(page) == page
    assert re.findall(r"^\| `([\w.]+)` \| (?:counter|gauge|histogram), ", page, re.MULTILINE) == [
        family.name for family in FAMILIES
    ]


def test_every_reason_is_explained_with_its_code() -> None:
    """The error table has each reason once, beside the code that the status table gives it."""
    rows = re.findall(r"^\| ((?:`[A-Z_]+`(?:, )?)+) \| ([A-Z_]+) \|", PAGES["docs/errors.md"], re.MULTILINE)
    explained = {reason: code for reasons, code in rows for reason in re.findall(r"`([A-Z_]+)`", reasons)}

    assert explained == {error.reason: code.name for error, code in CODES.items()} | {"INTERNAL": "INTERNAL"}


def test_every_end_of_the_thinking_is_explained() -> None:
    """The table of the agent's limits has each end of the thinking once."""
    explained = re.findall(r"^\| `([A-Z_]+)` \|[^|]+\|[^|]+\|[^|]+\|$", PAGES["docs/agent.md"], re.MULTILINE)

    assert sorted(explained) == sorted(end.value for end in ReasoningEnd)


@pytest.fixture
def company(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the function importable that docs/tools.md shows in Python and names in its configuration."""
    package = tmp_path / "modules" / "company"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "weather.py").write_text("STATIONS = set()\n" + find_blocks(PAGES["docs/tools.md"], "python")[0].text)
    monkeypatch.syspath_prepend(package.parent)


@pytest.mark.usefixtures("company")
@pytest.mark.parametrize("example", CONFIGURATIONS)
def test_every_configuration_is_sound(example: str, tmp_path: Path) -> None:
    """The server takes every configuration that a page shows, as it stands there."""
    assert find_config_problems(read_example(example, tmp_path)) == []


def test_the_example_of_the_readme_is_complete(tmp_path: Path) -> None:
    """The README's configuration has a model and its fallback."""
    [block] = find_blocks(README, "toml")

    config = read_example(block.text, tmp_path)

    assert config.settings.default_model == "fast"
    assert config.models["fast"].fallback_models == ("own",)


def test_the_first_example_of_configuration_is_complete(tmp_path: Path) -> None:
    """It has two models, prices and a caller."""
    config = read_example(find_blocks(PAGES["docs/configuration.md"], "toml")[0].text, tmp_path)

    assert list(config.models) == ["fast", "own"]
    assert config.models["own"].prices.output == 200_000_000
    assert config.callers["billing"].allowed_models == frozenset({"fast"})


def test_the_example_of_tools_is_complete(tmp_path: Path) -> None:
    """It has functions, and MCP servers of both transports."""
    config = read_example(find_blocks(PAGES["docs/tools.md"], "toml")[0].text, tmp_path)

    assert list(config.tools) == ["weather", "current_time", "tickets__search"]
    assert list(config.mcp_servers) == ["files", "tickets"]


def test_the_example_of_the_agent_is_complete(tmp_path: Path) -> None:
    """Its limits are options, and so are its prompts when their files are there."""
    [example] = [block.text for block in find_blocks(PAGES["docs/agent.md"], "toml") if "agent_max_steps" in block.text]

    settings = read_example(example, tmp_path).settings

    assert (settings.agent_max_steps, settings.agent_max_cost_usd) == (12, 0.05)
    assert settings.agent_answer_prompt == tmp_path / "answer.txt"


def test_every_python_example_is_python() -> None:
    """A reader can paste each block of Python without a syntax error."""
    for page in PAGES.values():
        for block in find_blocks(page, "python"):
            ast.parse(block.text)


def test_the_readme_begins_with_two_commands_and_stays_short() -> None:
    """The first block has the demo and the tests, and the page has at most 150 lines."""
    assert find_blocks(README)[0].text == "make demo\nmake test\n"
    assert len(README.splitlines()) <= 150


def test_every_page_is_in_the_navigation_and_in_the_readme() -> None:
    """No page of docs/ is an orphan, and the landing page and the README lead to every one of them."""
    pages = {file.name for file in ROOT.glob("docs/*.md")}
    navigation = re.findall(r'"([\w-]+\.md)"', ROOT.joinpath("zensical.toml").read_text("utf-8"))

    assert sorted(navigation) == sorted(pages)
    assert {link.split("#")[0] for link in find_links(PAGES["docs/index.md"])} >= pages - {"index.md"}
    assert {link.split("#")[0] for link in find_links(README)} >= {f"docs/{page}" for page in pages}


@pytest.mark.parametrize("file", OTHER_PAGES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_every_link_of_a_page_leads_somewhere(file: Path) -> None:
    """Files exist, anchors are headings of theirs, and so it is with links to the repository's own address."""
    broken = []
    for link in find_links(file.read_text("utf-8")):
        path, _, anchor = link.partition("#")
        own = REPOSITORY.fullmatch(path)
        if path.startswith(("https://", "http://")) and not own:
            continue
        target = ROOT / own[1] if own else (file.parent / path if path else file)
        if not target.exists() or (anchor and anchor not in find_anchors(target.read_text("utf-8"))):
            broken.append(link)

    assert broken == []


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/architecture.md"])
def test_every_file_that_a_page_names_is_there(page: str) -> None:
    """Paths between backquotes stand in the repository, or in the package, or among the protos."""
    folders = [ROOT, ROOT / "src" / "reasoning_grpc", ROOT / "protos" / "reasoning_grpc" / "v1"]
    named = re.findall(r"`([\w.-]+/[\w./-]*|\w+\.(?:py|proto|md|toml))`", ROOT.joinpath(page).read_text("utf-8"))

    assert named
    assert [path for path in named if not any((folder / path).exists() for folder in folders)] == []
