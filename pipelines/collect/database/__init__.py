"""The meter database as a source: any SQLAlchemy URL, read-only, its tables as the community file maps them."""
