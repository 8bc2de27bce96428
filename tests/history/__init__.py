"""A test in the style of etcd's robustness tests: mixed calls under random faults, and a checker of what happened.

plan.py            what each call is and what it meets, drawn from a seed
records.py         the histories: calls as clients saw them, exchanges as the upstream played them, lines of the log
serving.py         the configuration of the server process, its models and their prices
upstream.py        an upstream that misbehaves by plan, and keeps a ledger of what it was asked, sent and billed
recorder.py        makes planned calls, and records each event with its time
rounds.py          runs some hundred calls through a server process, and collects their history
checker.py         finds what is wrong in a history; its parts are the modules that end in _checks
attempts.py        finds which attempt of the server is which exchange of the ledger
samples.py         histories without fault, for tests of the checker
sampling.py        samples the size of the server process while it serves
soak.py            runs rounds for an hour; slope.py and report.py are parts of it
host.py            runs the server of a history whose size is sampled, and counts its tasks
"""
