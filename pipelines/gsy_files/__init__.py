"""GSy's own files: the simulation config, the scenario (a digital twin) and the community data sheet.

Each reader lists every fault of its file at once. What they have in common is `tree.Area`, the node of which
the exchange's registry is made too.
"""
