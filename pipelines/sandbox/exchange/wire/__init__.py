"""The paths and sockets that the exchange's clients know."""
