"""What an address is: origin AS, segment of a path, and the platform's catalogue of names. Pure, offline, no packets."""
