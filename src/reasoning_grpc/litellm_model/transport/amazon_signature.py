"""Signs a request to Amazon again when its body has changed after litellm has signed it."""

import asyncio
import re
from collections.abc import Mapping
from typing import Any, Final

from reasoning_grpc.litellm_model import library

_AUTHORIZATION: Final = re.compile(r"AWS4-HMAC-SHA256 Credential=[^/]+/\d+/([^/]+)/([^/]+)/aws4_request,")
"""The header of a signed request, with the region and the service."""
_OF_SIGNATURE: Final = frozenset({"authorization", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256"})


async def sign_again(
    url: str, headers: Mapping[str, str], body: bytes, account: Mapping[str, str]
) -> Mapping[str, str]:
    """Returns the headers with the signature of this body; a request that carries a key has none.

    `account` has the names of the profile and the role, as litellm has got them.
    """
    by_name = {name.lower(): value for name, value in headers.items()}
    signed = _AUTHORIZATION.match(by_name.get("authorization", ""))
    if signed is None:
        return headers
    bare = {name: value for name, value in by_name.items() if name not in _OF_SIGNATURE}
    return await asyncio.to_thread(_sign, url, bare, body, account, *signed.groups())  # it may read files


def _sign(
    url: str, headers: Mapping[str, str], body: bytes, account: Mapping[str, str], region: str, service: str
) -> Mapping[str, str]:
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest

    credentials: Any = library.find_amazon_credentials({**account, "aws_region_name": region})
    type_only = {"content-type": headers["content-type"]} if "content-type" in headers else {}
    request = AWSRequest(method="POST", url=url, data=body, headers=type_only)
    SigV4Auth(credentials, service, region).add_auth(request)
    return {**headers, **{name.lower(): value for name, value in request.headers.items()}}
