"""The wire to the exchange: tokens, protocols, posting and read-back."""

from pipelines.exchange.client import ExchangeClient, open_exchange
from pipelines.exchange.protocols import PROTOCOLS, Protocol, Request
from pipelines.exchange.results import read_energy

__all__ = ["PROTOCOLS", "ExchangeClient", "Protocol", "Request", "open_exchange", "read_energy"]
