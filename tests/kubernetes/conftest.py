"""Fixtures: a cluster for all tests, and a namespace for each."""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.support.cluster import Cluster, running_cluster
from tests.support.helm_release import HelmRelease

_NUMBERS: Final = itertools.count(1)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Provides a running cluster that knows the kinds of the Prometheus operator."""
    with running_cluster(tmp_path_factory.mktemp("cluster")) as running:
        for definition in json.loads((Path(__file__).parent / "operator_kinds.json").read_text()):
            running.create(definition, "")
        yield running


@pytest.fixture
def release(cluster: Cluster) -> Iterator[HelmRelease]:
    """Provides an empty namespace, which admits only pods of the strictest profile, for a release of the chart."""
    with cluster.restricted_namespace(f"tests-{next(_NUMBERS)}") as name:
        yield HelmRelease(cluster, name)
