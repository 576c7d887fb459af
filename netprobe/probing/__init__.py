"""Sans-IO measuring: what to send next. No session opens a socket, reads a clock or sleeps."""
