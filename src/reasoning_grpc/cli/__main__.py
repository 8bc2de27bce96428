"""`python -m reasoning_grpc.cli`: the same as `reasoning-grpc`."""

import sys

from reasoning_grpc.cli import main

sys.exit(main())
