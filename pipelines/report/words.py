"""Small words that several parts of the page need."""

PLURALS = {"community": "communities", "discrepancy": "discrepancies", "stretch": "stretches"}


def counted(number: int, what: str) -> str:
    """`1 slot`, `3,600 slots`."""
    return f"{number:,} {what if number == 1 else PLURALS.get(what, what + 's')}"


def are(number: int) -> str:
    """The verb that fits a number."""
    return "is" if number == 1 else "are"
