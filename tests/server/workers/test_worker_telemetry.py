"""Each worker exports its own metrics over OTLP."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.otlp import OtlpReceiver
from tests.support.upstream import FakeUpstream
from tests.support.workers import create_folder, serving_workers

pytestmark = [pytest.mark.process, pytest.mark.serial]


async def test_each_worker_is_an_instance_of_its_own(upstream: FakeUpstream, tmp_path: Path) -> None:
    """A backend gets the metrics of two instances, which it adds up, and those of no supervisor."""
    folder = create_folder(tmp_path, upstream)
    async with OtlpReceiver() as receiver:
        export = {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": receiver.endpoint, "OTEL_METRIC_EXPORT_INTERVAL": "100"}
        folder = replace(folder, variables={**folder.variables, **export})

        def list_instances() -> set[str]:
            return {str(resource["service.instance.id"]) for resource in receiver.metric_resources}

        async with serving_workers(folder):
            await receiver.expect(lambda: len(list_instances()) == 2, "expected two instances")
            exports = len(receiver.metric_resources)
            await receiver.expect(lambda: len(receiver.metric_resources) >= exports + 6, "expected six more exports")

        assert len(list_instances()) == 2
