"""A provider of OpenID Connect that can lie: every field of what it signs, the key and the algorithm can be another."""

import base64
import hashlib
import json
import secrets
import time
from typing import Any
from urllib.parse import parse_qsl

from joserfc import jwk, jwt
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

CLIENT, SECRET = "pronto", "client-secret"
KEY = jwk.RSAKey.generate_key(2048, {"kid": "one", "use": "sig", "alg": "RS256"}, private=True, auto_kid=False)
OTHER_KEY = jwk.RSAKey.generate_key(2048, {"kid": "one", "use": "sig", "alg": "RS256"}, private=True, auto_kid=False)


class Provider:
    """`claims` replace those of the next tokens (None leaves one out); `sign` makes a token out of claims."""

    def __init__(self) -> None:
        self.issuer = ""
        self.reset()
        self.app = Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self.description),
                Route("/keys", lambda _: JSONResponse({"keys": [KEY.as_dict(private=False)]})),
                Route("/token", self.token, methods=["POST"]),
                Route("/me", self.userinfo),
            ]
        )

    def reset(self) -> None:
        """Honest again."""
        self.claims: dict[str, Any] = {}
        self.more: dict[str, Any] = {}
        self.described: dict[str, Any] = {}
        self.sign = honest
        self.codes: dict[str, dict[str, str]] = {}
        self.asked: dict[str, str] = {}

    async def description(self, _: Request) -> Response:
        known = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/auth",
            "token_endpoint": f"{self.issuer}/token",
            "userinfo_endpoint": f"{self.issuer}/me",
            "jwks_uri": f"{self.issuer}/keys",
            "id_token_signing_alg_values_supported": ["RS256", "HS256", "none"],
            "authorization_response_iss_parameter_supported": True,
        }
        return JSONResponse(known | self.described)

    def let_in(self, address: str) -> dict[str, str]:
        """What a person's sign-in at the provider leads to: the query of the callback."""
        self.asked = dict(parse_qsl(address.partition("?")[2]))
        code = secrets.token_hex(8)
        self.codes[code] = self.asked
        return {"code": code, "state": self.asked["state"], "iss": self.issuer}

    async def token(self, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode()))
        asked = self.codes.pop(form.get("code", ""), None)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        proof = request.headers.get("authorization", "")
        known = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        if asked is None or asked["code_challenge"] != challenge.rstrip(b"=").decode() or proof != f"Basic {known}":
            return JSONResponse({"error": "invalid_grant"}, 400)
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": CLIENT,
            "sub": "s-1",
            "nonce": asked["nonce"],
            "iat": now,
            "exp": now + 300,
            "preferred_username": "ann",
            "email": "ann@corp.example",
            "email_verified": True,
        }
        claims = {name: value for name, value in (claims | self.claims).items() if value is not None}
        answer = {"access_token": "at", "token_type": "Bearer", "expires_in": 300, "id_token": self.sign(claims)}
        return JSONResponse(answer)

    async def userinfo(self, request: Request) -> Response:
        if request.headers.get("authorization") != "Bearer at":
            return JSONResponse({}, 401)
        return JSONResponse({"sub": "s-1"} | self.more)


def honest(claims: dict[str, Any]) -> str:
    return jwt.encode({"alg": "RS256", "kid": "one"}, claims, KEY)


def with_another_key(claims: dict[str, Any]) -> str:
    return jwt.encode({"alg": "RS256", "kid": "one"}, claims, OTHER_KEY)


def unsigned(claims: dict[str, Any]) -> str:
    return f"{_part({'alg': 'none'})}.{_part(claims)}."


def with_the_public_key_as_a_secret(claims: dict[str, Any]) -> str:
    key = jwk.OctKey.import_key(KEY.as_pem(private=False))
    return jwt.encode({"alg": "HS256", "kid": "one"}, claims, key, algorithms=["HS256"])


def with_a_key_of_its_own(claims: dict[str, Any]) -> str:
    header = {"alg": "RS256", "kid": "one", "jwk": OTHER_KEY.as_dict(private=False)}
    return jwt.encode(header, claims, OTHER_KEY)


def changed_afterwards(claims: dict[str, Any]) -> str:
    head, _, mac = honest(claims).split(".")
    return f"{head}.{_part(claims | {'sub': 'root'})}.{mac}"


def _part(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
