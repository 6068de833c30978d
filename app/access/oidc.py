"""Client of an OpenID provider: the authorization code flow with PKCE, state and nonce.

What the provider says is believed only after all checks of OpenID Connect Core 3.1.3.7: its documents name the issuer
that was configured; the ID token is signed by one of its published keys with an asymmetric algorithm (so that a public
key is never taken for a shared secret), is for this client, in time, and carries the nonce of this very sign-in.
Documents are kept for an hour; a key that is not known yet is looked for at once, so keys may rotate at any time.
"""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import httpx
import jwt

from app.errors import Unauthenticated, Unavailable
from app.integrations.public_addresses import read_bounded
from app.messages.message import Message, say
from app.utils.remembered import Remembered

_KINDS = {
    "RSA": frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}),
    "EC": frozenset({"ES256", "ES384", "ES512"}),
    "OKP": frozenset({"EdDSA"}),
}
"""Algorithms by the kind of key: all asymmetric."""
_ALGORITHMS = frozenset().union(*_KINDS.values())
_FRESH_SECONDS = 3600.0
_CLOCKS_APART = 60
"""Seconds by which the provider's clock may differ from ours."""
_PATIENCE = 15.0
"""Seconds that one answer may take, however it comes."""
_MOST_BYTES = 512 * 1024
_REFUSED = say("The sign-in provider's answer is not valid")
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Identity:
    """Person confirmed by the provider: `subject` never changes and is never reused, names may be."""

    issuer: str
    subject: str
    claims: Json


@dataclass(frozen=True, slots=True)
class Asked:
    """Values that one sign-in was begun with; the provider's answer must match them."""

    redirect_uri: str
    nonce: str
    code_verifier: str


class Provider:
    """The provider of this installation, and us as its client; close it when done."""

    def __init__(self, *, issuer: str, client_id: str, client_secret: str | None, scopes: str) -> None:
        self.issuer = issuer
        self._client_id = client_id
        self._client_secret = client_secret
        self._scopes = scopes
        self._kept: Remembered[str, Json] = Remembered(_FRESH_SECONDS)
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(_PATIENCE, connect=3.0), follow_redirects=False, trust_env=False
        )

    async def close(self) -> None:
        """Give the connections back."""
        await self._client.aclose()

    async def where_to(self, asked: Asked, *, state: str, language: str | None) -> str:
        """The address at which the provider asks a person who they are. Raises Unavailable."""
        metadata = await self._metadata()
        query = {
            "response_type": "code",
            "client_id": self._client_id,
            "redirect_uri": asked.redirect_uri,
            "scope": self._scopes,
            "state": state,
            "nonce": asked.nonce,
            "code_challenge": challenge_of(asked.code_verifier),
            "code_challenge_method": "S256",
        } | ({"ui_locales": language} if language else {})
        return _with_query(metadata["authorization_endpoint"], query)

    async def where_to_leave(self, redirect_uri: str) -> str | None:
        """The address at which a person signs out of the provider too; None where it has none."""
        endpoint = (await self._metadata()).get("end_session_endpoint")
        query = {"client_id": self._client_id, "post_logout_redirect_uri": redirect_uri}
        return _with_query(endpoint, query) if isinstance(endpoint, str) else None

    async def identify(
        self, asked: Asked, *, code: str, issuer: str | None, wanted: Sequence[str] = ()
    ) -> Identity:
        """Exchange the code for the person; `wanted` claims that the ID token lacks are read from userinfo.

        Raises Unauthenticated for whatever does not fit, Unavailable.
        """
        metadata = await self._metadata()
        self._check_issuer(metadata, issuer)
        answer = await self._exchange(metadata, asked, code)
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise Unauthenticated(say("{refused}: no id_token.", refused=_REFUSED))
        claims = await self._verified(metadata, token, answer.get("access_token"))
        if not hmac.compare_digest(str(claims["nonce"]).encode(), asked.nonce.encode()):
            raise Unauthenticated(say("{refused}: another sign-in's nonce.", refused=_REFUSED))
        if not claims.keys() >= set(wanted):
            claims |= await self._user_info(metadata, claims["sub"], answer.get("access_token"))
        return Identity(self.issuer, claims["sub"], claims)

    def _check_issuer(self, metadata: Json, named: str | None) -> None:
        """RFC 9207: an answer that says whose it is must be this provider's (mix-up)."""
        if named is None and not metadata.get("authorization_response_iss_parameter_supported"):
            return
        if named != self.issuer:
            raise Unauthenticated(say("{refused}: iss names another provider, or none.", refused=_REFUSED))

    async def _exchange(self, metadata: Json, asked: Asked, code: str) -> Json:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": asked.redirect_uri,
            "code_verifier": asked.code_verifier,
        }
        auth, secret = None, self._client_secret
        methods = metadata.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        if secret is None:
            form["client_id"] = self._client_id
        elif "client_secret_basic" in methods or "client_secret_post" not in methods:
            auth = httpx.BasicAuth(quote(self._client_id, safe=""), quote(secret, safe=""))
        else:
            form |= {"client_id": self._client_id, "client_secret": secret}
        request = self._client.build_request("POST", metadata["token_endpoint"], data=form, headers=_JSON)
        return await self._ask(
            request,
            auth=auth,
            refusal=say("{refused}: it takes this code no more, or never", refused=_REFUSED),
        )

    async def _verified(self, metadata: Json, token: str, access_token: object) -> Json:
        """The claims of an ID token, all checked but the nonce's value."""
        try:
            header = jwt.get_unverified_header(token)
            algorithm = str(header["alg"])
            if algorithm not in _ALGORITHMS or str(header.get("typ", "JWT")).upper() != "JWT":
                raise Unauthenticated(
                    say("{refused}: an id_token of a kind that is not taken.", refused=_REFUSED)
                )
            key = await self._key(metadata, header.get("kid"), algorithm)
            claims: Json = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=self._client_id,
                issuer=self.issuer,
                leeway=_CLOCKS_APART,
                options={
                    "require": ["iss", "sub", "aud", "exp", "iat", "nonce"],
                    "enforce_minimum_key_length": True,
                },
            )
        except (jwt.PyJWTError, KeyError, TypeError, ValueError, OverflowError) as error:
            raise Unauthenticated(
                say("{refused}: {error} in its id_token.", refused=_REFUSED, error=type(error).__name__)
            ) from None
        self._check_parties(claims)
        _check_hash(claims.get("at_hash"), access_token, algorithm)
        return claims

    def _check_parties(self, claims: Json) -> None:
        many = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
        if claims.get("azp", None if many else self._client_id) != self._client_id:
            raise Unauthenticated(
                say("{refused}: an id_token made for another client (azp).", refused=_REFUSED)
            )
        if not 0 < len(claims["sub"]) <= 255 or "\x00" in claims["sub"]:
            raise Unauthenticated(say("{refused}: sub.", refused=_REFUSED))

    async def _key(self, metadata: Json, kid: object, algorithm: str) -> jwt.PyJWK:
        for again in (False, True):
            document = await self._document(metadata["jwks_uri"], anew=again)
            found = [jwk for jwk in document.get("keys") or () if _fits(jwk, kid, algorithm)]
            if len(found) == 1:
                return jwt.PyJWK(found[0], algorithm)
        raise Unauthenticated(say("{refused}: its id_token is signed by none of its keys.", refused=_REFUSED))

    async def _user_info(self, metadata: Json, subject: str, access_token: object) -> Json:
        """Claims from the provider's userinfo endpoint, without those of the token."""
        endpoint = metadata.get("userinfo_endpoint")
        if endpoint is None or not isinstance(access_token, str):
            return {}
        headers = {**_JSON, "Authorization": f"Bearer {access_token}"}
        request = self._client.build_request("GET", endpoint, headers=headers)
        told = await self._ask(
            request, refusal=say("{refused}: it tells nothing of the person", refused=_REFUSED)
        )
        if told.get("sub") != subject:
            raise Unauthenticated(say("{refused}: it tells of another person.", refused=_REFUSED))
        return {name: value for name, value in told.items() if name not in _OF_THE_TOKEN}

    async def _metadata(self) -> Json:
        address = f"{self.issuer.rstrip('/')}/.well-known/openid-configuration"
        metadata = await self._document(address)
        endpoints = [metadata.get(name) for name in _ENDPOINTS]
        optional = [metadata[name] for name in _OPTIONAL if metadata.get(name) is not None]
        if metadata.get("issuer") != self.issuer or not all(map(self._is_safe, [*endpoints, *optional])):
            self._kept.clear()
            raise Unavailable(say("The sign-in provider's configuration names another issuer, or no https."))
        return metadata

    def _is_safe(self, address: object) -> bool:
        """Whether it is https; plain http is for a provider on this machine, in development."""
        if not isinstance(address, str) or not urlsplit(address).netloc:
            return False
        return urlsplit(address).scheme in {"https", urlsplit(self.issuer).scheme}

    async def _document(self, address: str, *, anew: bool = False) -> Json:
        if anew:
            self._kept.forget(lambda known: known == address)
        return await self._kept.get(
            address, lambda: self._ask(self._client.build_request("GET", address, headers=_JSON))
        )

    async def _ask(
        self, request: httpx.Request, *, auth: httpx.BasicAuth | None = None, refusal: Message | None = None
    ) -> Json:
        """A JSON object. Raises Unauthenticated with `refusal` for 4xx, Unavailable for all else."""
        try:
            async with asyncio.timeout(_PATIENCE):
                response = await self._client.send(request, auth=auth, stream=True)
                try:
                    body = await read_bounded(response, _MOST_BYTES)
                finally:
                    await response.aclose()
            answer = json.loads(body) if response.is_success else None
        except (httpx.HTTPError, OSError, ValueError, RecursionError) as error:
            raise Unavailable(
                say("The sign-in provider does not answer ({error}). Repeat.", error=type(error).__name__)
            ) from error
        if refusal is not None and 400 <= response.status_code < 500 and response.status_code != 429:
            raise Unauthenticated(say("{refusal}: sign in again.", refusal=refusal))
        if not isinstance(answer, dict):
            raise Unavailable(
                say("The sign-in provider answers {code}. Repeat.", code=response.status_code),
                retry_after=5,
            )
        return answer


_JSON = {"Accept": "application/json", "Accept-Encoding": "identity"}
_ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")
_OPTIONAL = ("userinfo_endpoint", "end_session_endpoint")
_OF_THE_TOKEN = frozenset({"iss", "sub", "aud", "exp", "iat", "nbf", "nonce", "azp", "at_hash"})


def challenge_of(verifier: str) -> str:
    """RFC 7636, S256: what may be seen of a secret that is shown later."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")


def _with_query(address: str, query: dict[str, str]) -> str:
    return f"{address}{'&' if '?' in address else '?'}{urlencode(query)}"


def _fits(jwk: object, kid: object, algorithm: str) -> bool:
    """Whether this is the public key that a token names, and made for its algorithm."""
    return (
        isinstance(jwk, dict)
        and (kid is None or jwk.get("kid") == kid)
        and jwk.get("use", "sig") == "sig"
        and algorithm in _KINDS.get(str(jwk.get("kty")), ())
        and jwk.get("alg", algorithm) == algorithm
    )


def _check_hash(kept: object, access_token: object, algorithm: str) -> None:
    """Core 3.1.3.6: the access token that came beside must be the one that the ID token means."""
    if kept is None or not isinstance(access_token, str):
        return
    size = 512 if algorithm == "EdDSA" else int(algorithm[2:])
    digest = hashlib.new(f"sha{size}", access_token.encode()).digest()
    half = base64.urlsafe_b64encode(digest[: len(digest) // 2]).decode().rstrip("=")
    if not hmac.compare_digest(str(kept).encode(), half.encode()):
        raise Unauthenticated(say("{refused}: at_hash does not fit its access_token.", refused=_REFUSED))
