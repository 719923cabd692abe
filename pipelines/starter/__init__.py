"""What `slotfeed init` writes: an example community file, or one made from a file of GSy's."""

from pipelines.starter.datasheet import yaml_from_datasheet
from pipelines.starter.example import example_yaml
from pipelines.starter.registry import yaml_from_registry
from pipelines.starter.writing import write_starter

__all__ = ["example_yaml", "write_starter", "yaml_from_datasheet", "yaml_from_registry"]
