"""Stands in for the outside world on one machine: a local Canary Test Network and a community that feeds it.

It stands outside the program it serves: it shares clock, slots and errors with it and nothing else, and the
program never knows whether the exchange it speaks to is the real one.
"""
