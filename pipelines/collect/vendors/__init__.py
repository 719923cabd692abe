"""A file per vendor. Each is found by its name: the `type` of a source in the community file."""
