"""Real servers for a simulated network: a certificate authority, TLS and HTTP, QUIC, DNS. A process apart."""
