"""What stands in a page, without a browser."""

import html
import re


def section(page: str, heading: str) -> str:
    """The markup of the section under the heading with this id."""
    found = re.search(rf'<section aria-labelledby="{heading}">(.*?)</section>', page, re.DOTALL)
    assert found is not None
    return found[1]


def text_of(markup: str) -> str:
    """Its text, as a person reads it."""
    shown = re.sub(r'^[^<]*">', " ", markup)
    plain = re.sub(r"<[^>]+>", " ", re.sub(r"<(script|style)\b.*?</\1>", " ", shown, flags=re.DOTALL))
    return re.sub(r"\s+", " ", html.unescape(plain)).strip()
