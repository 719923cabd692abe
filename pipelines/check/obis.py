"""The direction of energy, as far as a register's name tells it: OBIS codes (IEC 62056-6-1) and those of clouds."""

import re
from collections.abc import Mapping
from typing import Literal

OBIS = re.compile(r"(?:\d+-\d+:)?(?P<c>\d+)\.(?P<d>\d+)\.(?P<e>\d+)(?:[*]\d+)?(?: .*)?")
"""A-B:C.D.E*F, of which A, B and F are often left out; Austria's come with a suffix such as ` G.01`."""


NAMED: Mapping[str, Literal["import", "export"]] = {
    "import": "import",
    "consumption": "import",
    "charge": "import",
    "export": "export",
    "production": "export",
    "discharge": "export",
}
"""What the registers of vendor clouds are called here."""


def direction(register: str | None) -> Literal["import", "export"] | None:
    """Which way the energy or power flows that the register tells; None where the code doesn't say.

    Group C is 1 for active import and 2 for active export: 1.8.0 and 2.8.0 count energy, 1.29.0 and 2.29.0
    tell that of an interval, 1.7.0 and 2.7.0 power. 16.7.0, their sum, tells no direction.
    """
    if register is not None and register in NAMED:
        return NAMED[register]
    if register is None or (code := OBIS.fullmatch(register)) is None:
        return None
    match code["c"]:
        case "1":
            return "import"
        case "2":
            return "export"
    return None
