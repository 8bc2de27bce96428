"""The command `token new`."""

import json
import secrets

from reasoning_grpc.config import hash_token


def new_token(*, as_json: bool) -> int:
    """Prints a new token and its hash. The token is kept nowhere."""
    token = f"rgt_{secrets.token_urlsafe(32)}"
    if as_json:
        print(json.dumps({"token": token, "token_hash": hash_token(token)}))
    else:
        print(f"token:      {token}")
        print(f"token_hash: {hash_token(token)}")
        print("Give the token to the caller, now: it is not shown again. The hash goes into [callers.NAME].")
    return 0
