"""Runs the runner of every client against the same servers, and prints the matrix.

python -m clients.conformance [--client NAME]... [--scenario TEXT] [--all]
"""

import argparse
import asyncio
import logging
import sys
from collections.abc import Mapping, Sequence

from clients.conformance.clients import CLIENTS, Client, RunnerFailed, run
from clients.conformance.host import Host, host_scenarios
from clients.conformance.judge import find_problems
from clients.conformance.scenario import Scenario, read_scenarios

Problems = Mapping[str, Sequence[str]]
"""The problems by the names of the scenarios."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns 1 when a client does not conform, or when a requested client cannot be run."""
    options = _parse_options(arguments)
    logging.getLogger().addHandler(logging.NullHandler())  # hides the logs of the servers
    selected = [each for each in read_scenarios() if options.scenario in each.name]
    if not selected:
        print(f"no scenario's name contains {options.scenario!r}", file=sys.stderr)
        return 1
    clients = [each for each in CLIENTS if not options.client or each.name in options.client]
    omitted = [each for each in clients if each.missing_commands]
    found = asyncio.run(_judge_clients([each for each in clients if each not in omitted], selected))
    _print_matrix(selected, found)
    for client in omitted:
        print(client.omission_notice)
    has_failed = any(any(each.values()) for each in found.values())
    return int(has_failed or bool(omitted and (options.all or options.client)))


def _parse_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m clients.conformance", description=__doc__)
    names = [client.name for client in CLIENTS]
    parser.add_argument("--client", action="append", choices=names, help="run this client; may be given several times")
    parser.add_argument("--scenario", default="", metavar="TEXT", help="run the scenarios whose name contains TEXT")
    parser.add_argument("--all", action="store_true", help="fail when a client cannot be run here")
    return parser.parse_args(arguments)


async def _judge_clients(clients: Sequence[Client], selected: Sequence[Scenario]) -> dict[str, Problems]:
    """Returns the problems of each client. The clients run one after the other, against the same servers."""
    async with host_scenarios(selected) as host:
        return {client.name: await _judge_client(client, host) for client in clients}


async def _judge_client(client: Client, host: Host) -> Problems:
    await host.prepare()
    try:
        results = await run(client, host.build_plan())
    except RunnerFailed as exc:
        return {each.name: [f"the runner {exc}"] for each in host.scenarios}
    return {
        each.name: find_problems(each, results.get(each.name)) + await host.find_problems(each)
        for each in host.scenarios
    }


def _print_matrix(selected: Sequence[Scenario], found: Mapping[str, Problems]) -> None:
    width = max(len(scenario.name) for scenario in selected)
    print(f"{'scenario':{width}}  " + "  ".join(f"{name:>10}" for name in found))
    for scenario in selected:
        marks = ("FAIL" if each[scenario.name] else "ok" for each in found.values())
        print(f"{scenario.name:{width}}  " + "  ".join(f"{mark:>10}" for mark in marks))
    passed = (sum(not each[scenario.name] for scenario in selected) for each in found.values())
    print(f"{f'passed of {len(selected)}':{width}}  " + "  ".join(f"{count:>10}" for count in passed))
    for client, by_scenario in found.items():
        for name, lines in by_scenario.items():
            for line in lines:
                print(f"{client}, {name}: {line}")


if __name__ == "__main__":
    sys.exit(main())
