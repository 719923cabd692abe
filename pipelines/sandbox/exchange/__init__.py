"""A local Canary Test Network: GSy's wire and behaviour, as far as they are known, on one machine."""
