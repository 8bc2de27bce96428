"""The picture of an answer's events, and the lines about its tasks."""

import re
from xml.etree import ElementTree

from reasoning_grpc.cli.task_lines import TaskLines
from reasoning_grpc.cli.timeline import Timeline
from tests.support.agent import agent_config, collect_events
from tests.support.orchestration import Team, orchestration_request, plan_task
from tests.support.serving import serving
from tests.support.upstream import FakeUpstream

SVG = "{http://www.w3.org/2000/svg}"


async def test_the_picture_has_a_row_for_each_attempt_and_a_bar_for_each_call(upstream: FakeUpstream) -> None:
    """The picture is valid XML with a row a task, a frame of its outcome's color, and a bar for each model call."""
    team = Team(upstream, plan_task("a"), plan_task("b", "a", goal="Find b. <&> more"))
    failures = [team.fail(503)]
    team.choices["step", "a"] = lambda _: failures.pop() if failures else team.step

    async with serving(agent_config(upstream, max_retries=0)) as running:
        events = await collect_events(running, orchestration_request())
    timeline = Timeline()
    for event in events:
        timeline.record(event)

    picture = ElementTree.fromstring(timeline.draw())
    labels = [text.text for text in picture.findall(f"{SVG}text") if text.get("x") == "8"]
    assert labels == ["plan and answer", "t1: Find a.", "t1 (attempt 2): Find a.", "t2: Find b. <&> more"]
    titles = [title.text or "" for title in picture.iter(f"{SVG}title")]
    assert [title.partition(":")[0] for title in titles] == [
        "plan",
        "answer",
        "failed",
        "step 1",
        "done",
        "step 1",
        "result",
        "done",
        "step 1",
        "result",
    ]
    assert all(re.fullmatch(r"[\w ]+: \d+ to \d+ ms", title) for title in titles)


async def test_each_line_names_its_task(upstream: FakeUpstream) -> None:
    """A person sees the plan, and for each line about a task which one it is."""
    Team(upstream, plan_task("a"), plan_task("b", "a"))

    async with serving(agent_config(upstream)) as running:
        events = await collect_events(running, orchestration_request())
    lines = TaskLines()
    shown = [line.text for event in events for line in lines.describe(event)]

    assert shown[0] == "plan: 2 tasks\n  t1: Find a.\n  t2 (after t1): Find b."
    assert shown[1] == "t1: begins"
    assert shown[2].startswith("t1: step 1 of ")
    assert re.fullmatch(r"t1: done in [\d.]+ m?s: It is known\.", shown[4])
    assert all(line.startswith(("t1:", "t2:")) for line in shown[1:])
