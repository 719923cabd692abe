"""Accounts at the emulated vendors: what is asked of each, by which clock, and the fewest requests it takes."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from math import ceil
from pathlib import Path
from zoneinfo import ZoneInfo

from pipelines.collect.catalogue import find_vendor
from pipelines.collect.cloud.vendor import Vendor
from pipelines.community import Community
from pipelines.settings import Secrets

USERNAME, SECRET = "bench", "hush-hush-4711"
BERLIN = ZoneInfo("Europe/Berlin")
START, END = (
    datetime(2016, 10, 29, tzinfo=BERLIN).astimezone(UTC),
    datetime(2016, 10, 30, tzinfo=BERLIN).astimezone(UTC),
)
"""The day that is read: 24 hours, the last before the clocks go back."""

CLOCK_START = END + timedelta(hours=1)
"""The day is over, and the last values have settled."""

REFILL = timedelta(days=32)
"""After so long every vendor's limits are as if the account had never been asked."""


@dataclass(frozen=True, kw_only=True)
class Meter:
    """A device and the register that is read of it."""

    device: str
    name: str
    kind: str
    site: str
    rated_power_kw: float
    register: str


@dataclass(frozen=True, kw_only=True)
class Account:
    """One account with many devices."""

    vendor: str
    url: str
    """Of the sandbox."""

    prefix: str
    """Below it, the vendor's."""

    meters: tuple[Meter, ...] = field(repr=False)

    @property
    def api(self) -> Vendor:
        found = find_vendor(self.vendor)
        assert found is not None
        return found

    @property
    def devices(self) -> int:
        return len(self.meters)

    def community(self) -> Community:
        """One asset and stream a device, all of them from this account."""
        channels = self.api.channels
        assets = []
        for meter in self.meters:
            channel = channels[meter.register]
            stream = {
                "source": self.vendor,
                "device": meter.device,
                "register": channel.register,
                "kind": channel.kind.value,
                "unit": channel.unit,
            }
            # Whether it is a load makes no difference to reading it.
            asset = {"name": meter.name, "uuid": meter.device, "type": "load", "rated_power_kw": meter.rated_power_kw}
            assets.append(asset | {"streams": [stream]})
        source = {"type": self.vendor, "url": self.url + self.prefix, "username": USERNAME}
        return Community.model_validate(
            {
                "community": {"name": "Bench", "simulation_uuid": "bench", "time_zone": "Europe/Berlin"},
                "exchange": {"base_url": "http://127.0.0.1:1"},
                "sources": {self.vendor: source | {"limits": self.limits()}},
                "assets": assets,
            }
        )

    def secrets(self, folder: Path) -> Secrets:
        return Secrets(folder, environment={f"SLOTFEED_SOURCE_{self.vendor.upper()}_PASSWORD": SECRET})

    def limits(self) -> dict[str, int]:
        """Limits of a larger plan, where the free one doesn't allow a day of so many devices at all."""
        if self.vendor == "solaredge" and self.fewest_requests() > 2000:
            return {"month": self.fewest_requests()}
        return {}

    def fewest_requests(self) -> int:
        """What a day takes at least, by the spans and devices that the vendor's papers allow in a request."""
        match self.vendor:
            case "inexogy":  # one meter, 31 days
                return self.devices
            case "solaredge":  # one site, 12 hours
                return 2 * self.devices
            case "victron_vrm":  # one site, 31 days
                return self.devices
            case "home_assistant":  # the connection, the list of statistics, all sensors at once
                return 3
            case "fusionsolar":
                kinds = Counter(meter.kind for meter in self.meters)
                histories = sum(ceil(count / 10) for count in kinds.values())  # ten devices of one type, 3 days
                plants = len({meter.site for meter in self.meters})
                # A login; pages of a hundred plants, and their devices a hundred plants at a time.
                return histories + 1 + 2 * ceil(plants / 100)
        raise ValueError(self.vendor)
