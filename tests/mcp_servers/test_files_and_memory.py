"""The official servers on Node.js that keep data: `server-filesystem` and `server-memory`."""

import json

import pytest

from tests.support.agent import plan_call
from tests.support.official_servers import OfficialServers

pytestmark = [pytest.mark.mcp_servers, pytest.mark.process, pytest.mark.asyncio(loop_scope="session")]


async def test_files_are_read(servers: OfficialServers) -> None:
    """A text and a listing are shown once, although the server sends both as structured content too."""
    files = servers.folders.files
    run = await servers.run(
        plan_call("files__read_text_file", path=str(files / "a.txt")),
        plan_call("files__read_text_file", path=str(files / "a.txt"), head=1),
        plan_call("files__list_directory", path=str(files)),
        plan_call("files__directory_tree", path=str(files)),
        plan_call("files__read_media_file", path=str(files / "picture.png")),
        plan_call("files__read_text_file", path=str(files / "notes" / "empty.txt")),
    )

    text, head, listing, tree, picture, empty = run.shown
    assert (text, head, picture) == ("first\nsecond\n", "first", "[image/png, 100 bytes]")
    assert sorted(listing.split("\n")) == ["[DIR] notes", "[FILE] a.txt", "[FILE] picture.png"]
    assert sorted(tree, key=lambda entry: str(entry["name"])) == [
        {"name": "a.txt", "type": "file"},
        {"name": "notes", "type": "directory", "children": [{"name": "empty.txt", "type": "file"}]},
        {"name": "picture.png", "type": "file"},
    ]
    assert (empty, run.outcomes[-1]) == ("[empty result]", ("OK", ""))
    assert {status for status, _ in run.outcomes} == {"OK"}


async def test_files_are_written_inside_the_folder_alone(servers: OfficialServers) -> None:
    """A file is written where the server allows it. Elsewhere the model reads the refusal in the server's words."""
    inside, outside = servers.folders.files / "notes" / "new.txt", servers.folders.root / "outside.txt"
    run = await servers.run(
        plan_call("files__write_file", path=str(inside), content="håndskrevet"),
        plan_call("files__write_file", path=str(outside), content="x"),
        plan_call("files__read_text_file", path=str(servers.folders.files / "missing.txt")),
        plan_call("files__write_file", path=5),
    )

    refusal = f"Access denied - path outside allowed directories: {outside} not in {servers.folders.files}"
    missing = f"ENOENT: no such file or directory, open '{servers.folders.files / 'missing.txt'}'"
    unfit = (
        'The arguments do not fit the tool\'s schema: path: it does not fit type "string"; '
        "the whole: it has no content."
    )
    assert run.outcomes == [
        ("OK", f"Successfully wrote to {inside}"),
        ("FAILED", refusal),
        ("FAILED", missing),
        ("INVALID_ARGUMENTS", unfit),
    ]
    assert run.shown == [
        f"Successfully wrote to {inside}",
        f"The tool reported an error.\n{refusal}",
        f"The tool reported an error.\n{missing}",
        unfit,
    ]
    assert (inside.read_text(), outside.exists()) == ("håndskrevet", False)


async def test_memory(servers: OfficialServers) -> None:
    """The graph that the model builds is the one that it reads, and it is in the file that the configuration names."""
    ann = {"name": "Ann", "entityType": "person", "observations": ["likes tea"]}
    lives = {"from": "Ann", "to": "Oslo", "relationType": "lives in"}
    run = await servers.run(
        plan_call("memory__create_entities", entities=[ann]),
        plan_call("memory__create_relations", relations=[lives]),
        plan_call("memory__read_graph"),
    )

    graph = {"entities": [ann], "relations": [lives]}
    assert run.shown == [{"entities": [ann]}, {"relations": [lives]}, graph]
    assert [(status, json.loads(text)) for status, text in run.outcomes] == [("OK", each) for each in run.shown]
    lines = [json.loads(line) for line in servers.folders.memory.read_text().splitlines()]
    assert [line["type"] for line in lines] == ["entity", "relation"]


async def test_what_memory_says_beside_the_text_is_shown(servers: OfficialServers) -> None:
    """Structured content that is more than the text follows the text, and each missing argument is named once."""
    run = await servers.run(
        plan_call("memory__delete_entities", entityNames=["Nobody"]),
        plan_call("memory__add_observations", observations=[{"entityName": "Nobody", "contents": ["x"]}]),
        plan_call("memory__create_entities", entities=[{"name": "Bob"}]),
    )

    text = "Entities deleted successfully"
    assert run.outcomes == [
        ("OK", f'{text}\n{{"success":true,"message":"{text}"}}'),
        ("FAILED", "Entity with name Nobody not found"),
        (
            "INVALID_ARGUMENTS",
            "The arguments do not fit the tool's schema: entities.0: it has no entityType, observations.",
        ),
    ]
