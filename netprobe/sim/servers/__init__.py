"""Real servers for a simulated network: a certificate authority, TLS and HTTP, DNS. They run in a process of their own."""
