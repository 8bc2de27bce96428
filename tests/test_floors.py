"""The imports of the package follow the order of floors that its docstring lists."""

import re
from typing import Final

from scripts.draw_floors import PICTURE, choose_arrows, describe_other_imports, draw, find_levels, find_reachable
from scripts.floors import (
    DESCRIPTIONS,
    PACKAGE,
    PAGE,
    find_floor,
    find_imported_names,
    read_imports,
    replace_list,
)

FLOORS: Final = tuple(DESCRIPTIONS)
"""The folders of the package as its docstring lists them, the highest first."""
STUBS: Final = "v1"
LIGHT: Final = {"client": {STUBS}, "evaluation": {STUBS, "client"}}
"""Floors that must not need the server's dependencies, and all that they may import."""
ABOVE_THE_STUBS: Final = FLOORS[: FLOORS.index("rpc") + 1]
"""The floors that may use the generated stubs, beside the light ones: everything below speaks our own types."""
ENTRANCES: Final = {
    "domain": {"errors", "events", "fold", "streams"},
    "llm": {"structured"},
    "router": {"embedding"},
    "rpc": {"server_spans"},  # imports the gRPC instrumentation, which only a traced server needs
}
"""The modules that other floors may import by their own names. All else of a floor they import from its folder."""


def test_every_folder_is_a_floor() -> None:
    """The docstring of the package lists each of its folders once, and no module lies loose beside them."""
    folders = [path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"]
    loose = [path.name for path in PACKAGE.glob("*.py")]

    assert sorted(FLOORS) == sorted(folders)
    assert loose == ["__init__.py"]


def test_imports_point_down() -> None:
    """A floor imports only floors that stand below it in the list, so there is no circle either."""
    height = {floor: place for place, floor in enumerate(FLOORS)}

    upward = [
        (floor, other) for floor, others in read_imports().items() for other in others if height[other] < height[floor]
    ]

    assert upward == []


def test_floors_export_what_others_may_use() -> None:
    """A module imports another floor's names from the folder itself, so what a folder does not export is private."""
    private = []
    for file in PACKAGE.rglob("*.py"):
        if find_floor(file) == STUBS:
            continue
        for name in find_imported_names(file):
            package, floor, part, *_ = [*name.split("."), "", ""]
            if package != "reasoning_grpc" or floor in {"", STUBS, find_floor(file)}:
                continue
            is_module = (PACKAGE / floor / f"{part}.py").exists() or (PACKAGE / floor / part / "__init__.py").exists()
            if part and is_module and part not in ENTRANCES.get(floor, ()):
                private.append((str(file.relative_to(PACKAGE)), name))

    assert private == []


def test_light_floors_need_no_server() -> None:
    """The client and the evaluation, which are installed without the server, import the stubs and the client alone."""
    graph = read_imports()

    assert {floor: graph[floor] - allowed for floor, allowed in LIGHT.items()} == {"client": set(), "evaluation": set()}


def test_the_stubs_stop_at_the_rpc_floor() -> None:
    """Below the floor that converts them, nothing knows the wire's types."""
    allowed = {*ABOVE_THE_STUBS, *LIGHT}

    assert {floor for floor, others in read_imports().items() if STUBS in others} <= allowed


def test_only_the_adapter_imports_litellm() -> None:
    """Nothing but `litellm_model` imports litellm, whether by a statement or by name."""
    by_name = re.compile(r"""import_module\(["']litellm\b""")
    users = {
        find_floor(file)
        for file in PACKAGE.rglob("*.py")
        if by_name.search(file.read_text())
        or any(name.split(".")[0] == "litellm" for name in find_imported_names(file))
    }

    assert users == {"litellm_model"}


def test_the_picture_of_the_floors_is_up_to_date() -> None:
    """The committed picture and the list beside it are what `make floors` makes of the imports and the docstring."""
    page = PAGE.read_text("utf-8")

    assert PICTURE.read_text("utf-8") == draw(read_imports()), "run `make floors`"
    assert replace_list(page) == page, "run `make floors`"


def test_the_picture_leaves_out_what_other_arrows_say() -> None:
    """Arrows lead to every import, and none of them repeats what two others say."""
    imports = {"top": {"middle", "domain"}, "middle": {"domain"}, "domain": set[str](), "aside": set[str]()}
    imports["middle"].add("aside")

    arrows = choose_arrows(imports)

    assert arrows == {"top": ["middle"], "middle": ["aside", "domain"], "domain": [], "aside": []}
    assert find_reachable(imports, "top") == {"middle", "domain", "aside"}
    assert find_levels(imports) == {"top": 2, "middle": 1, "domain": 0, "aside": 0}


def test_the_picture_names_every_import_without_an_arrow() -> None:
    """A box lists those imports, or says which of the lower floors it does not import, whichever is shorter."""
    floors = ["top", *(f"floor_{number}" for number in range(9))]
    imports = {floor: set[str]() for floor in floors} | {"top": set(floors[1:-1]), "floor_7": {"floor_6"}}
    arrows = choose_arrows(imports)

    assert describe_other_imports(imports, arrows, "top") == "also floor_6"
    assert describe_other_imports(imports, arrows, "floor_0") == ""
    assert describe_other_imports(imports, {"top": []}, "top") == "also all that stands lower, but not floor_8"
