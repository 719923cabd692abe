"""Makes sure that a site asks for nothing: no page of it runs a script or fetches what isn't beside it."""

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit

FETCHING = {"src", "srcset", "data", "poster", "background", "action", "formaction", "ping"}
"""Attributes that make a browser ask for something, on whatever tag."""

NEVER = {"script", "iframe", "object", "embed", "form", "base"}
"""Tags that a page of figures has no use for."""


def wants(page: str) -> list[str]:
    """What a page would ask for or run, as it stands in the page; none for a good one.

    Links (`<a href>`) count where they lead out of the site's own folders and to no file: a reader offline meets
    an error page there.
    """
    reader = _Reader()
    reader.feed(page)
    reader.close()
    return reader.found


def hungry_pages(folder: Path) -> dict[str, list[str]]:
    """Pages of a site, by path below `folder`, that ask for something; none for a good site."""
    wanted = {
        str(path.relative_to(folder)): wants(path.read_text(encoding="utf-8"))
        for path in sorted(folder.rglob("*.html"))
    }
    return {page: found for page, found in wanted.items() if found}


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.in_style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.in_style = tag == "style"
        if tag in NEVER:
            self.found.append(f"<{tag}>")
        for name, value in attrs:
            if name.startswith("on"):
                self.found.append(f"{name}={value}")
            elif name in FETCHING or name.endswith("href"):
                self._address(tag, name, value or "")
            elif name == "style":
                self._style(value or "")

    def handle_endtag(self, tag: str) -> None:
        self.in_style = self.in_style and tag != "style"

    def handle_data(self, data: str) -> None:
        if self.in_style:
            self._style(data)

    def _address(self, tag: str, name: str, value: str) -> None:
        address = urlsplit(value)
        inside = not address.scheme and not address.netloc
        if (not inside and address.scheme != "data") or (tag != "a" and inside and not value.startswith("#")):
            self.found.append(f"<{tag} {name}={value}>")

    def _style(self, text: str) -> None:
        for part in text.replace("@import", "url(@import").split("url(")[1:]:
            target = part.lstrip("\"' ")
            if not target.startswith(("data:", "#")):
                self.found.append(f"url({target[:60]}")
