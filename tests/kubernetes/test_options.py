"""The API server accepts the objects of the chart with each of its options, and warns of none."""

import pytest

from scripts.chart import render_objects
from tests.support.chart import OFF, ON, OPTIONS
from tests.support.cluster import Object
from tests.support.helm_release import HelmRelease

pytestmark = [pytest.mark.kubernetes, pytest.mark.process]

VALUES = {**OPTIONS, "everything on": ON, "everything off": OFF}


@pytest.mark.parametrize("values", VALUES.values(), ids=list(VALUES))
def test_the_server_accepts_every_option(release: HelmRelease, values: Object) -> None:
    """Each object could be created: all its fields are known and valid, and its pods fit the strictest profile."""
    seen = len(release.cluster.warnings)

    for each in render_objects(values):
        each["metadata"]["namespace"] = release.namespace
        release.cluster.create(each, release.namespace, is_trial=True)

    assert release.cluster.warnings[seen:] == []
