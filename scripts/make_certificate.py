"""Makes a self-signed certificate for https on this machine: certs/cert.pem and certs/key.pem.

Names besides localhost are arguments: `python scripts/make_certificate.py balancer.example 10.0.0.5`. For the
internet take one from an authority that browsers know.
"""

import ipaddress
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAYS = 365
FOLDER = Path("certs")


def make_certificate(names: Sequence[str], now: datetime) -> tuple[bytes, bytes]:
    """Return certificate and private key, both PEM, valid for a year from `now`.

    Parameters
    ----------
    names
        Host names and addresses; the first is the subject.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=DAYS))
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM), private


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def main(arguments: Sequence[str]) -> int:
    """Write both files, unless they exist; returns the exit code."""
    certificate_file, key_file = FOLDER / "cert.pem", FOLDER / "key.pem"
    if key_file.exists():
        print(f"{key_file} exists and stays as it is; remove certs/ first if you want a fresh one.")
        return 0
    certificate, key = make_certificate(["localhost", "127.0.0.1", "::1", *arguments], datetime.now(UTC))
    FOLDER.mkdir(mode=0o700, exist_ok=True)
    with open(key_file, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(key)
    certificate_file.write_bytes(certificate)
    print(f"Wrote {certificate_file} and {key_file}, valid for {DAYS} days. To serve https:")
    print(f"  uvicorn app.main:app --ssl-certfile {certificate_file} --ssl-keyfile {key_file}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
