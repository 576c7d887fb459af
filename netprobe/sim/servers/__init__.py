"""Real servers for a simulated network: a certificate authority, TLS and HTTP, DNS. A process apart."""
