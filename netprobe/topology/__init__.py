"""What an address is: origin AS, segment of a path, and the platform's names. Pure, offline, no packets."""
