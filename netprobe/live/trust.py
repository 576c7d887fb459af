"""Whom TLS trusts: the contexts that handshakes are made with."""

import ssl
from collections.abc import Sequence

HTTP_1 = ("http/1.1",)  # in ALPN (RFC 7301)


class Trust:
    """TLS contexts, made with the first handshake that needs them: the system's store is large."""

    def __init__(self, ca_file: str | None = None) -> None:
        self._ca_file = ca_file
        self._contexts: dict[bool, ssl.SSLContext] = {}

    def authorities(self) -> list[bytes]:
        """Whom it trusts, in DER, as far as that has been read; empty where the system's store is looked into later."""
        return self.context(verify=True).get_ca_certs(binary_form=True)

    def context(self, *, verify: bool, alpn: Sequence[str] = HTTP_1) -> ssl.SSLContext:
        """A context that trusts `ca_file`, else SSL_CERT_FILE, else the system; or everybody.

        What is wrapped next offers `alpn`: OpenSSL copies that, so that one store serves all protocols.

        Raises OSError (ssl.SSLError too) when `ca_file` cannot be read.
        """
        if verify not in self._contexts:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            if not verify:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            elif self._ca_file:
                context.load_verify_locations(cafile=self._ca_file)
            else:
                context.load_default_certs()  # honours SSL_CERT_FILE and SSL_CERT_DIR
            self._contexts[verify] = context
        self._contexts[verify].set_alpn_protocols(alpn)
        return self._contexts[verify]
