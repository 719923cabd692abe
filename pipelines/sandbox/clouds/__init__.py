"""Vendor clouds on one machine: every emulator serves the same fleet of devices, each in its vendor's own words.

A vendor is one module here that exports `PREFIX` (where its API stands) and `router(world)`; `app` finds it by itself.
"""
