"""The engine: what counts, when, and what was used."""
