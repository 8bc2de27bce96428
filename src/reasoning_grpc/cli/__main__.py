"""Runs `python -m reasoning_grpc.cli` like the command `reasoning-grpc`."""

import sys

from reasoning_grpc.cli import main

sys.exit(main())
