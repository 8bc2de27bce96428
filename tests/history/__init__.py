"""A test in the style of etcd's robustness tests: mixed calls under random faults, and a checker of what happened.

plan.py        what each call is and what it meets, drawn from a seed
records.py     the histories: calls as clients saw them, exchanges as the upstream played them, lines of the log
upstream.py    an upstream that misbehaves by plan, and keeps a ledger of what it was asked, sent and billed
recorder.py    makes planned calls, and records each event with its time
checker.py     finds what is wrong in a history; its parts are the modules that end in _checks
serving.py     the server process, and its configuration
rounds.py      runs some hundred calls and collects their history
soak.py        runs rounds for an hour, and watches memory, descriptors, tasks and threads
"""
