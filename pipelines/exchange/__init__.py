"""The wire to the exchange: tokens, protocols, posting and read-back."""

from pipelines.exchange.client import ExchangeClient, open_exchange
from pipelines.exchange.protocols import PROTOCOLS
from pipelines.exchange.results import read_energy
from pipelines.exchange.wire import Command, Envelope, Fate, Protocol, Request, Verdict

__all__ = [
    "PROTOCOLS",
    "Command",
    "Envelope",
    "ExchangeClient",
    "Fate",
    "Protocol",
    "Request",
    "Verdict",
    "open_exchange",
    "read_energy",
]
