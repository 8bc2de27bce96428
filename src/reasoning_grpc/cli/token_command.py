"""Runs the command `token new`."""

import json
import secrets

from reasoning_grpc.config import hash_token


def create_token(*, as_json: bool) -> int:
    """Prints a new token and its hash; the token is not stored anywhere."""
    token = f"rgt_{secrets.token_urlsafe(32)}"
    if as_json:
        print(json.dumps({"token": token, "token_hash": hash_token(token)}))
    else:
        print(f"token:      {token}")
        print(f"token_hash: {hash_token(token)}")
        print("Give the token to the caller now: it is not shown again. Put the hash into [callers.NAME].")
    return 0
