"""Credentials of a request to a Caller. Knows headers, and nothing of tokens."""

from collections.abc import Mapping

from pronto.core.identity import Caller
from pronto.edge.ports import AuthenticatorPort


async def authenticate(authenticator: AuthenticatorPort, headers: Mapping[str, str], takes_api_key: bool) -> Caller:
    """`takes_api_key`: `x-api-key` counts as well, as on Anthropic's routes. Raises Unauthenticated and Forbidden."""
    authorization = headers.get("authorization")
    api_key = headers.get("x-api-key") if takes_api_key else None
    caller = authenticator.cached(authorization) if api_key is None else None
    if caller is None:
        caller = await authenticator.authenticate(authorization, api_key)
    org = headers.get("x-hf-bill-to")
    return await authenticator.billed_to(caller, org.strip()) if org else caller
