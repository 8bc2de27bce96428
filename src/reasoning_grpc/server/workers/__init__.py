"""Several processes that serve calls on one port, and the supervisor that forks and replaces them.

The supervisor imports litellm, so that its workers share the memory of it, and never grpc, whose threads and locks no
fork survives. Nothing here but `worker.py`, which only a worker imports, may import grpc.

cores.py        how many cores this process may use
reservation.py  keeps the port, so that no other server can take it
fork.py         forks a process that shares nothing with the event loop of this one
messages.py     what the supervisor and a worker send to each other
handle.py       WorkerHandle: one worker, as the supervisor sees it
restarts.py     when a worker that died is started again, and when that is given up
supervisor.py   Supervisor: starts, replaces and drains the workers
used_states.py  SharedUsedStates: which paused runs have gone on, in any of the workers
run.py          `supervise`: the life of a supervisor's process
worker.py       the life of a worker's process
"""
