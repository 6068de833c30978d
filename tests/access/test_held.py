"""What an examination found shut, kept shut: forged tokens, smuggled requests, spellings of inside addresses."""

import asyncio
import base64
import itertools
import json
import socket
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from app.access.keys import ISSUER, KeyRing
from app.errors import Invalid, Unauthenticated
from app.integrations.public_addresses import resolve_safely
from tests.access.conftest import SECRET, House
from tests.access.test_who_asks import served
from tests.conftest import Figure

CLAIMS = {"iss": ISSUER, "aud": ISSUER, "sub": "1", "ver": 1, "iat": 0, "exp": 99_999_999_999}


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def forged_tokens() -> list[str]:
    """Every algorithm x key name x type, signed with other keys; and a good token changed in every third character."""
    ring = KeyRing([SECRET])
    good = ring.issue(user_id=1, token_version=1, now=datetime.now(UTC), life=timedelta(minutes=5))
    kid = jwt.get_unverified_header(good)["kid"]
    signers: dict[str, Any] = {
        "HS256": "\0" * 64,
        "HS384": SECRET * 2,
        "HS512": SECRET * 2,
        "RS256": rsa.generate_private_key(public_exponent=65537, key_size=2048),
        "ES256": ec.generate_private_key(ec.SECP256R1()),
        "EdDSA": ed25519.Ed25519PrivateKey.generate(),
    }
    signers["PS256"] = signers["RS256"]
    kids = (kid, kid.lower(), f"{kid} ", "", "../../dev/null", "' OR 1=1 --", "0", "http://127.0.0.1/key")
    tokens = [
        jwt.encode(CLAIMS, key, alg, {"kid": name, "typ": typ})
        for (alg, key), name, typ in itertools.product(signers.items(), kids, ("at+jwt", "JWT", "AT+JWT"))
    ]
    signature = good.rpartition(".")[2]
    for alg, typ in itertools.product(
        ("none", "None", "NONE", "nOnE", "", "hs256", "HS256 "), ("at+jwt", "JWT")
    ):
        head = f"{part({'alg': alg, 'kid': kid, 'typ': typ})}.{part(CLAIMS)}"
        tokens += [f"{head}.", head, f"{head}.{signature}"]
    for extra in (
        {"crit": ["exp"]},
        {"b64": False},
        {"jku": "http://127.0.0.1/"},
        {"jwk": {"kty": "oct", "k": "AA"}},
    ):
        tokens.append(jwt.encode(CLAIMS, "\0" * 64, "HS256", {"kid": kid, "typ": "at+jwt"} | extra))
    head, payload, _ = good.split(".")
    for at in range(0, len(good) - 1, 3):  # the last character has bits that mean nothing
        if good[at] != ".":
            tokens.append(good[:at] + ("A" if good[at] != "A" else "B") + good[at + 1 :])
    tokens += [f"{good}.", f".{good}", f"{head}.{payload}", f"{good}.{good}", f"{good} x", f"Bearer {good}"]
    tokens += [f"{head}..{signature}", f"{head}.{part(CLAIMS)}.{signature}"]
    return tokens


async def test_no_forged_token_is_anybodys(house: House, figure: Figure) -> None:
    ring, tokens = KeyRing([SECRET]), forged_tokens()
    assert len(tokens) >= 298
    for token in tokens:
        with pytest.raises(Unauthenticated):
            ring.read(token)
    for token in tokens[::25]:
        answer = await house.client.get("/v1/auth/me", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 401, token
    figure("forged tokens, none read", len(tokens))


INSIDE = (
    "127.0.0.1", "127.1", "127.0.1", "0", "0.0.0.0", "2130706433", "0x7f000001", "0x7f.1", "0x7F.0.0.1",  # noqa: S104
    "0177.0.0.1", "0177.1", "017700000001", "127.0.0.1.", "127.255.255.254", "localhost", "LOCALHOST",
    "localhost.", "[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[0000::0001]", "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]", "[::ffff:0:7f00:1]", "[::127.0.0.1]", "[::7f00:1]", "[64:ff9b::7f00:1]",
    "[64:ff9b::10.0.0.1]", "[64:ff9b::a9fe:a9fe]", "[64:ff9b:1::1]", "[2002:7f00:1::]",
    "[2002:0a00:1::1]", "[2002:c0a8:101::]", "[2001:0:7f00:1::]", "10.0.0.1", "10.255.255.255",
    "0xa000001", "167772161", "172.16.0.1", "172.31.255.255", "192.168.1.1", "0xc0a80101", "3232235777",
    "169.254.169.254", "0xa9fea9fe", "2852039166", "0251.0376.0251.0376", "[::ffff:169.254.169.254]",
    "[fd00:ec2::254]", "100.64.0.1", "192.0.0.1", "198.18.0.1", "224.0.0.1", "255.255.255.255",
    "240.0.0.1", "[fe80::1]", "[fc00::1]", "[ff02::1]", "[fec0::1]", "[2001:db8::1]",
)  # fmt: skip


async def test_no_name_that_means_the_inside_is_reached(
    monkeypatch: pytest.MonkeyPatch, figure: Figure
) -> None:
    """Each address of the list as what a name resolves to, alone and beside a public one."""
    real, told = socket.getaddrinfo, 0
    for host in INSIDE:
        try:
            found = [entry[4][0] for entry in real(host.strip("[]"), 9, type=socket.SOCK_STREAM)]
        except OSError:  # a spelling that means nothing here
            continue
        for answers in (found, ["93.184.216.34", *found], [*found, "93.184.216.34"]):
            entries = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, 9)) for each in answers]
            monkeypatch.setattr(socket, "getaddrinfo", lambda *_, entries=entries, **__: entries)
            with pytest.raises(Invalid, match="inside"):
                await resolve_safely("rebound.example", 9)
            told += 1
    assert told >= 3 * 50
    figure("answers of a name that lead inside, all refused", told)


async def test_no_spelling_of_the_inside_is_reached(figure: Figure) -> None:
    assert len(set(INSIDE)) >= 57
    for host in INSIDE:
        try:
            await resolve_safely(host.strip("[]"), 9)
        except (Invalid, OSError):
            continue
        pytest.fail(f"{host} was taken for public")
    figure("spellings of the inside, none reached", len(INSIDE))


SECOND = "GET /v1/auth/options HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
POST = "POST /v1/auth/logout HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
CHUNKED = "Transfer-Encoding: chunked\r\n"
END = f"0\r\n\r\n{SECOND}"
SMUGGLED = {
    "CL and TE": f"{POST}Content-Length: {len(END)}\r\n{CHUNKED}\r\n{END}",
    "TE and CL": f"{POST}{CHUNKED}Content-Length: 4\r\n\r\n{END}",
    "two lengths": f"{POST}Content-Length: {len(SECOND)}\r\nContent-Length: 0\r\n\r\n{SECOND}",
    "a list of lengths": f"{POST}Content-Length: 0, {len(SECOND)}\r\n\r\n{SECOND}",
    "a signed length": f"{POST}Content-Length: +0\r\n\r\n{SECOND}",
    "a negative length": f"{POST}Content-Length: -1\r\n\r\n{SECOND}",
    "a length in hex": f"{POST}Content-Length: 0x0\r\n\r\n{SECOND}",
    "an unknown coding": f"{POST}Transfer-Encoding: xchunked\r\n\r\n{END}",
    "chunked and then another": f"{POST}Transfer-Encoding: chunked, identity\r\n\r\n{END}",
    "space before the colon": f"{POST}Transfer-Encoding : chunked\r\nContent-Length: {len(END)}\r\n\r\n{END}",
    "a folded header": f"{POST}Transfer-Encoding:\r\n chunked\r\nContent-Length: {len(END)}\r\n\r\n{END}",
    "a size in 0x": f"{POST}{CHUNKED}\r\n0x0\r\n\r\n{SECOND}",
    "a negative size": f"{POST}{CHUNKED}\r\n-0\r\n\r\n{SECOND}",
    "bare line feeds": f"{POST}{CHUNKED}\r\n0\n\n{SECOND}",
    "a bare carriage return": f"{POST}X: a\rTransfer-Encoding: chunked\r\nContent-Length: {len(END)}\r\n\r\n{END}",
    "NUL in a name": f"{POST}Transfer\0-Encoding: chunked\r\nContent-Length: {len(END)}\r\n\r\n{END}",
}


async def answers_to(address: str, raw: str) -> str:
    host, port = address.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(raw.encode("latin-1"))
    writer.write_eof()
    told = await asyncio.wait_for(reader.read(), 60)
    writer.close()
    return told.decode("latin-1")


@pytest.mark.slow
async def test_no_request_is_smuggled_within_another(house: House, figure: Figure) -> None:
    """One message is one request: where its length can be read in two ways it is refused, and the connection ends."""
    assert len(SMUGGLED) >= 12
    async with served(house.settings) as address:
        plain = await answers_to(address, SECOND)
        assert '"provider"' in plain, "asked openly it is answered"
        for name, raw in SMUGGLED.items():
            told = await answers_to(address, raw)
            assert '"provider"' not in told, (name, told)
            assert told.count("HTTP/1.1 ") <= 1, (name, told)
    figure("forms of smuggling, none served", len(SMUGGLED))
