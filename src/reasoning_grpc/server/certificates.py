"""`Certificates`: the TLS files of the server, which are read again when they change on disk."""

import logging
import ssl
import threading
from dataclasses import dataclass
from pathlib import Path

import grpc

from reasoning_grpc.config import Settings

logger = logging.getLogger("reasoning_grpc.tls")


class CertificateError(Exception):
    """The TLS files cannot be used; the message is one line that names the file."""


@dataclass(frozen=True, slots=True)
class TLSFiles:
    """The files of a server with TLS."""

    certificate: Path
    key: Path
    client_ca: Path | None
    """The authorities of the clients' certificates; None: clients need none."""

    def find_versions(self) -> tuple[object, ...]:
        """Returns what changes whenever a file is written, replaced or removed, also behind a symbolic link."""
        return tuple(_find_version(path) for path in (self.certificate, self.key, self.client_ca) if path is not None)

    def read(self) -> grpc.ServerCertificateConfiguration:
        """Reads the files, and checks that they can be used together. Raises CertificateError."""
        try:
            certificate, key = self.certificate.read_bytes(), self.key.read_bytes()
            client_ca = None if self.client_ca is None else self.client_ca.read_bytes()
        except OSError as exc:
            raise CertificateError(f"{exc.filename}: cannot be read: {exc.strerror}") from exc
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self.certificate, self.key, password=_refuse)
        except (OSError, ValueError) as exc:
            raise CertificateError(
                f"{self.certificate} and {self.key}: are not a certificate in PEM and its private key"
            ) from exc
        if client_ca is not None:
            try:
                ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(cadata=client_ca.decode("ascii"))
            except (OSError, ValueError) as exc:
                raise CertificateError(f"{self.client_ca}: holds no certificates in PEM") from exc
        return grpc.ssl_server_certificate_configuration([(key, certificate)], root_certificates=client_ca)


def find_tls_files(settings: Settings) -> TLSFiles | None:
    """Returns the TLS files of the settings; None when the server has no TLS."""
    if settings.tls_certificate is None or settings.tls_key is None:
        return None
    return TLSFiles(settings.tls_certificate, settings.tls_key, settings.tls_client_ca)


class Certificates:
    """Gives gRPC the certificate for each connection: that of the files as they are then.

    Files that cannot be used, such as those of a replacement that is half written, change nothing.
    """

    def __init__(self, files: TLSFiles) -> None:
        self._files = files
        self._versions: tuple[object, ...] = ()
        """The versions of the files that were read last."""
        self._refused: tuple[object, ...] = ()
        """The versions of the files that could not be used."""
        self._lock = threading.Lock()
        """gRPC asks from threads of its own."""

    def build_credentials(self) -> grpc.ServerCredentials:
        """Returns the credentials of a server. Raises CertificateError."""
        self._versions = self._files.find_versions()
        return grpc.dynamic_ssl_server_credentials(
            self._files.read(),
            self._fetch,  # type: ignore[arg-type]  # grpc takes None for "as before"; its type stubs do not know that
            require_client_authentication=self._files.client_ca is not None,
        )

    def switch(self, files: TLSFiles) -> None:
        """Uses other files for the connections that begin from now on, and reads them anew."""
        with self._lock:
            self._files, self._versions = files, ()

    def _fetch(self) -> grpc.ServerCertificateConfiguration | None:
        """Returns a certificate for the connection that begins; None: the one before. Called by gRPC's threads."""
        with self._lock:
            versions = self._files.find_versions()
            if versions in (self._versions, self._refused):
                return None
            try:
                read = self._files.read()
            except CertificateError as exc:
                self._refused = versions
                logger.warning("certificate cannot be replaced", extra={"problem": str(exc)})
                return None
            if versions != self._files.find_versions():  # they changed while they were read
                return None
            self._versions, self._refused = versions, ()
            logger.info("certificate was read again", extra={"tls_certificate": str(self._files.certificate)})
            return read


def _find_version(path: Path) -> object:
    try:
        state = path.stat()
    except OSError as exc:
        return exc.errno
    return state.st_ino, state.st_dev, state.st_size, state.st_mtime_ns


def _refuse() -> str:
    """Gives no password, so that a key that needs one is refused instead of asked for at the terminal."""
    return ""
