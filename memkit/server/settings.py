"""The settings of a server, and the check that it is not open to others without keys."""

import ipaddress
from dataclasses import dataclass

from memkit.errors import InvalidInput


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """Limits and defaults of a server; times are in seconds."""

    user: str | None = None  # whose memory requests without keys mean if they name no user
    max_body_bytes: int = 4_000_000
    max_running: int = 64  # requests of one key at a time
    upload_s: float = 30.0  # for a request's body
    recall_s: float = 10.0  # after this a prompt goes to the model without memory
    model_s: float = 300.0  # of silence from the model
    shutdown_s: float = 30.0  # for replies that are running when the server stops


def is_loopback(host: str) -> bool:
    """Return whether an address is reachable from this machine only."""
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:  # a name, which may mean any machine
        return False


def check_exposure(host: str, *, has_keys: bool) -> None:
    """Raise InvalidInput if other machines could read the memory without a key."""
    if not has_keys and not is_loopback(host):
        raise InvalidInput(
            f"without keys everybody who reaches {host} could read the memory; make a key with "
            "`memkit keys add --user ann` and pass --keys FILE, or bind to 127.0.0.1"
        )
