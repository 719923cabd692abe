"""Text from elsewhere as text: what a meter, vendor, exchange or person wrote steers no terminal, log or page."""

import re

UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Control signs (C0, C1, among them escape and line break), separators of lines, and what turns the order of writing
round (Unicode's bidirectional controls, UAX 9). What joins letters stays: some scripts need it."""

ASTRAY = re.compile(r"[\ud800-\udfff]")
"""Halves of a pair, which JSON can write and no output can encode."""

MARKUP = re.compile(r"[\\`*\[\]<>]")
"""What begins a link, image, tag, code or emphasis in Markdown."""


def plain(text: str) -> str:
    """The text on one line: a question mark for each sign that isn't seen, a blank for line breaks and tabs."""
    return ASTRAY.sub("?", UNSEEN.sub(_seen, text))


def plain_lines(text: str) -> str:
    """The same, with its line breaks."""
    return "\n".join(plain(line) for line in text.split("\n"))


def in_markdown(text: str) -> str:
    """The text as Markdown that shows it as it is: one line, no link, picture or tag."""
    return MARKUP.sub(r"\\\g<0>", plain(text))


def _seen(found: re.Match[str]) -> str:
    return " " if found[0] in "\t\n\r\u2028\u2029" else "?"
