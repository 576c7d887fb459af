"""How tests run a command without any capability, as ordinary users do."""

import subprocess
import sys

_NO_RIGHTS = ("--inh-caps=-all", "--bounding-set=-all")
_SOMEBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *_NO_RIGHTS)
_POWERLESS = ("setpriv", *_NO_RIGHTS)  # root without a capability: for the kernel's checks of sockets the same


def ordinary() -> tuple[str, ...]:
    """What to put before a command. Nobody else may read the interpreter of a developer whose home is closed."""
    probe = (*_SOMEBODY, "env", sys.executable, "-c", "import json, netprobe")
    readable = subprocess.run(probe, capture_output=True, check=False, timeout=30).returncode == 0
    return _SOMEBODY if readable else _POWERLESS
