"""The cache of the classifier's decisions."""

from tests.support.classification import (
    AUTO,
    CACHE,
    CALLERS,
    CLASSIFIER,
    FALLBACK,
    NO_CACHE,
    ROUTES,
    add_big_model,
    classify,
    write_choice,
)
from tests.support.serving import judging_config, serving
from tests.support.upstream import FakeUpstream


async def test_a_decision_is_cached(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """The decision for a repeated conversation comes from the cache, with `rules_only` as well."""
    judge.always.reply(write_choice("passthrough"))

    async with serving(judging_config(upstream, judge)) as running:
        first = await classify(running, text="one", **AUTO)
        second = await classify(running, text="one", **AUTO)
        by_rules = await classify(running, text="one", rules_only=True, **AUTO)
        other = await classify(running, text="two", **AUTO)

    assert [each.source for each in (first, second, by_rules, other)] == [CLASSIFIER, CACHE, CACHE, CLASSIFIER]
    assert second == by_rules
    assert not second.HasField("classification")
    assert (second.route, second.reason) == (
        "passthrough",
        "The classifier chose it before, for the same conversation.",
    )
    assert len(judge.requests) == 2


async def test_callers_share_no_cached_decisions(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """The decision that is cached for one caller is not used for another."""
    judge.always.reply(write_choice("reasoning"))

    config = add_big_model(judging_config(upstream, judge, routes=ROUTES, callers=CALLERS), upstream)
    async with serving(config) as running:
        decisions = [await classify(running, token, **AUTO) for token in ("all", "thinking", "all")]

    assert [each.source for each in decisions] == [CLASSIFIER, CLASSIFIER, CACHE]


async def test_a_cache_of_no_entries_caches_nothing(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """With `cache_entries = 0`, the classifier is called for each request."""
    judge.always.reply(write_choice("passthrough"))

    async with serving(judging_config(upstream, judge, classifier=NO_CACHE)) as running:
        decisions = [await classify(running, **AUTO) for _ in range(2)]

    assert [each.source for each in decisions] == [CLASSIFIER, CLASSIFIER]


async def test_a_failure_is_not_cached(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """After a failure of the classifier, the next request calls it again."""
    judge.fail(400)
    judge.reply(write_choice("reasoning"))

    async with serving(judging_config(upstream, judge)) as running:
        decisions = [await classify(running, **AUTO) for _ in range(2)]

    assert [each.source for each in decisions] == [FALLBACK, CLASSIFIER]
