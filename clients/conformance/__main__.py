"""Runs the runner of every client against one server, and prints the matrix.

python -m clients.conformance [--client NAME]... [--scenario TEXT] [--all]
"""

import argparse
import asyncio
import logging
import sys
from collections.abc import Mapping, Sequence

from clients.conformance.clients import CLIENTS, Client, RunnerFailed, run
from clients.conformance.host import Host, hosting
from clients.conformance.judge import complaints
from clients.conformance.scenario import Scenario, scenarios

Complaints = Mapping[str, Sequence[str]]
"""By the scenario's name."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; 1 when a client does not conform, or is wanted and cannot be run."""
    options = _options(arguments)
    logging.getLogger().addHandler(logging.NullHandler())  # the servers' log is of no interest here
    wanted = [each for each in scenarios() if options.scenario in each.name]
    if not wanted:
        print(f"no scenario's name contains {options.scenario!r}", file=sys.stderr)
        return 1
    clients = [each for each in CLIENTS if not options.client or each.name in options.client]
    left_out = [each for each in clients if each.lacks]
    found = asyncio.run(_judged([each for each in clients if each not in left_out], wanted))
    _print_matrix(wanted, found)
    for client in left_out:
        print(client.left_out)
    failed = any(any(each.values()) for each in found.values())
    return int(failed or bool(left_out and (options.all or options.client)))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m clients.conformance", description=__doc__)
    names = [client.name for client in CLIENTS]
    parser.add_argument("--client", action="append", choices=names, help="run this one; may be given several times")
    parser.add_argument("--scenario", default="", metavar="TEXT", help="run those whose name contains this")
    parser.add_argument("--all", action="store_true", help="fail when a client cannot be run here")
    return parser.parse_args(arguments)


async def _judged(clients: Sequence[Client], wanted: Sequence[Scenario]) -> dict[str, Complaints]:
    """What is wrong with each client; they run one after the other, against the same servers."""
    async with hosting(wanted) as host:
        return {client.name: await _complaints(client, host) for client in clients}


async def _complaints(client: Client, host: Host) -> Complaints:
    await host.prepare()
    try:
        results = await run(client, host.plan())
    except RunnerFailed as exc:
        return {each.name: [f"the runner {exc}"] for each in host.scenarios}
    return {
        each.name: complaints(each, results.get(each.name)) + await host.complaints(each) for each in host.scenarios
    }


def _print_matrix(wanted: Sequence[Scenario], found: Mapping[str, Complaints]) -> None:
    width = max(len(scenario.name) for scenario in wanted)
    print(f"{'scenario':{width}}  " + "  ".join(f"{name:>10}" for name in found))
    for scenario in wanted:
        marks = ("FAIL" if each[scenario.name] else "ok" for each in found.values())
        print(f"{scenario.name:{width}}  " + "  ".join(f"{mark:>10}" for mark in marks))
    passed = (sum(not each[scenario.name] for scenario in wanted) for each in found.values())
    print(f"{f'of {len(wanted)}':{width}}  " + "  ".join(f"{count:>10}" for count in passed))
    for client, by_scenario in found.items():
        for name, lines in by_scenario.items():
            for line in lines:
                print(f"{client}, {name}: {line}")


if __name__ == "__main__":
    sys.exit(main())
