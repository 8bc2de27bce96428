"""A server with mutual TLS for tests, and clients whose certificates have the names that a test chooses."""

import datetime
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class CertificateAuthority:
    """An authority that signs the server's certificate and those of its clients."""

    ca: trustme.CA
    folder: Path

    def settings(self) -> dict[str, Any]:
        """Returns the settings of a server that trusts the authority's clients and no others."""
        return {
            "tls_certificate": self.folder / "server.pem",
            "tls_key": self.folder / "server.key",
            "tls_client_ca": self.folder / "ca.pem",
        }

    def credentials(self, *names: str, common_name: str = "") -> grpc.ChannelCredentials:
        """Returns the credentials of a client whose certificate has these DNS names and this common name."""
        key = ec.generate_private_key(ec.SECP256R1())
        alternatives: list[x509.GeneralName] = [
            x509.UniformResourceIdentifier(name) if "://" in name else x509.DNSName(name) for name in names
        ]
        now = datetime.datetime.now(datetime.UTC)
        issuer = x509.load_pem_x509_certificate(self.ca.cert_pem.bytes())
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else []))
            .issuer_name(issuer.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
        )
        if alternatives:
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        certificate = builder.sign(self._load_key(), hashes.SHA256())
        return grpc.ssl_channel_credentials(
            self.ca.cert_pem.bytes(),
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
            certificate.public_bytes(serialization.Encoding.PEM),
        )

    def _load_key(self) -> ec.EllipticCurvePrivateKey:
        key = serialization.load_pem_private_key(self.ca.private_key_pem.bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return key


def create_certificate_authority(folder: Path) -> CertificateAuthority:
    """Creates an authority, and in the folder the files of a server on loopback."""
    ca = trustme.CA()
    issued = ca.issue_cert("localhost", "127.0.0.1")
    ca.cert_pem.write_to_path(folder / "ca.pem")
    for blob in issued.cert_chain_pems:
        blob.write_to_path(folder / "server.pem", append=True)
    issued.private_key_pem.write_to_path(folder / "server.key")
    return CertificateAuthority(ca, folder)
