"""Other ways to the exchange than its own port: TLS with certificates good and bad, a host that only listens."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HERE = "127.0.0.1"
DAY = timedelta(days=1)
PIECE = 1 << 16


@dataclass(frozen=True)
class Authority:
    """Somebody who signs certificates."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    def write(self, path: Path) -> Path:
        """Its certificate, for SSL_CERT_FILE."""
        path.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))
        return path

    def sign(self, path: Path, *, host: str = HERE, ends: timedelta = DAY) -> Path:
        """A server's key and certificate in one file.

        Args:
            path: of the file.
            host: address or name that it is for.
            ends: from now; negative: it has expired.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        name: x509.GeneralName = x509.DNSName(host) if host[0].isalpha() else x509.IPAddress(ip_address(host))
        certificate = (
            _begun(host, key, issuer=self.certificate.subject, ends=ends)
            .add_extension(x509.SubjectAlternativeName([name]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        in_clear = serialization.NoEncryption()
        pem = serialization.Encoding.PEM
        path.write_bytes(
            key.private_bytes(pem, serialization.PrivateFormat.PKCS8, in_clear) + certificate.public_bytes(pem)
        )
        return path


def authority(name: str) -> Authority:
    """A new authority of this name."""
    key = ec.generate_private_key(ec.SECP256R1())
    begun = _begun(name, key, issuer=_subject(name), ends=10 * DAY)
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        begun.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Authority(key, certificate)


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _begun(
    name: str, key: ec.EllipticCurvePrivateKey, *, issuer: x509.Name, ends: timedelta
) -> x509.CertificateBuilder:
    # TLS lives by this machine's clock, whatever the exchange's says.
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_subject(name))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 30 * DAY)
        .not_valid_after(now + ends)
    )


@contextlib.contextmanager
def tls_door(certificate: Path, target: int) -> Iterator[str]:
    """Speaks TLS with this certificate and hands on what comes to a port of this machine.

    Yields:
        Its address.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def serve(client: socket.socket) -> None:
        with (
            contextlib.suppress(OSError),
            context.wrap_socket(client, server_side=True) as shut,
            socket.create_connection((HERE, target)) as inside,
        ):
            back = threading.Thread(target=_pour, args=(inside, shut), daemon=True)
            back.start()
            _pour(shut, inside)
            back.join()

    with _listening(serve) as port:
        yield f"https://{HERE}:{port}"


@dataclass
class Stranger:
    """A host that nobody should speak to."""

    address: str = ""
    heard: list[bytes] = field(default_factory=list)
    """What each connection sent at first."""


@contextlib.contextmanager
def stranger() -> Iterator[Stranger]:
    """Another host, which writes down what it is told and answers nothing."""
    told = Stranger()

    def serve(client: socket.socket) -> None:
        with client:
            client.settimeout(2)
            with contextlib.suppress(OSError):
                told.heard.append(client.recv(PIECE))

    with _listening(serve) as port:
        told.address = f"http://{HERE}:{port}"
        yield told


def free_port() -> int:
    """A port at which nobody listens."""
    with socket.socket() as probe:
        probe.bind((HERE, 0))
        port: int = probe.getsockname()[1]
    return port


def _pour(source: socket.socket, target: socket.socket) -> None:
    """All that comes from one side to the other, until it ends."""
    with contextlib.suppress(OSError):
        while part := source.recv(PIECE):
            target.sendall(part)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def _listening(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """A thread for each connection, until the block ends."""
    with socket.create_server((HERE, 0)) as listener:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    threading.Thread(target=serve, args=(client,), daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            thread.join()
