"""The admin ports: a child process that answers probes and scrapes for all workers.

messages.py  what the server and the child send to each other
ports.py     AdminPorts: the server's side, which starts the child, restarts it, and passes reports on
child.py     the program of the child
workers.py   KnownWorkers: what the child knows of the workers, and whether they are alive and ready
pages.py     the pages of `admin_listen`
health.py    the gRPC health of `health_listen`
"""
