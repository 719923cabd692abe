"""Which vendors there are: every module of `pipelines.collect.vendors`.

Nothing else names them; the community file's `type` is the module's name.
"""

import importlib
import pkgutil
from functools import cache

from pipelines.collect import vendors
from pipelines.collect.cloud.vendor import Vendor
from pipelines.community import METER_DATABASE, Cloud
from pipelines.errors import ConfigurationError, Issue


@cache
def vendor_names() -> tuple[str, ...]:
    """Every `type` of cloud source there is."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(vendors.__path__)))


@cache
def find_vendor(kind: str) -> Vendor | None:
    """The vendor with this `type`; None where there is no such file."""
    if kind not in vendor_names():
        return None
    found: Vendor = importlib.import_module(f"{vendors.__name__}.{kind}").VENDOR
    return found


def vendor_of(name: str, settings: Cloud) -> Vendor:
    """The vendor of a source.

    Raises:
        ConfigurationError: there is none of this type.
    """
    vendor = find_vendor(settings.type)
    if vendor is None:
        known = ", ".join([METER_DATABASE, *vendor_names()])
        issue = Issue(
            where=f"source '{name}'", field="type", problem=f"'{settings.type}' is unknown", remedy=f"Known: {known}"
        )
        raise ConfigurationError([issue])
    return vendor
