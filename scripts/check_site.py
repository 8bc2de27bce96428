"""Part of `make docs`: checks the built site, file by file.

The generator fails on a broken link between pages. This script finds what it does not look at: images and other files
that are missing, anchors in raw HTML, anything that a browser would fetch from another host, and pages that the search
does not know.
"""

import json
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from scripts.pages import ROOT

SITE: Final = ROOT / "build" / "site"
_FETCHED: Final = {"script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src", "audio": "src"}
_FETCHED_RELATIONS: Final = {"stylesheet", "icon", "preload", "prefetch", "modulepreload", "preconnect", "manifest"}
_REMOTE: Final = re.compile(r"(?:https?:)?//")


@dataclass(slots=True)
class Page:
    """What the check needs of one HTML page."""

    anchors: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    """Where a reader can go, and the local files that the page shows."""
    fetched: list[str] = field(default_factory=list)
    """What a browser loads to show the page."""


class _PageParser(HTMLParser):
    """Collects the anchors, links and resources of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.page = Page()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Records what one tag names."""
        values = {name: value or "" for name, value in attrs}
        self.page.anchors |= {values[name] for name in ("id", "name") if values.get(name)}
        resource = values.get(_FETCHED.get(tag, ""))
        if tag == "link" and _FETCHED_RELATIONS & set(values.get("rel", "").split()):
            resource = values.get("href")
        if resource:
            self.page.fetched.append(resource)
        elif tag in {"a", "area"} and "href" in values:
            self.page.links.append(values["href"])


def parse_page(html: str) -> Page:
    """Returns the anchors, links and resources of a page."""
    parser = _PageParser()
    parser.feed(html)
    return parser.page


def find_problems(site: Path) -> Iterator[str]:
    """Yields a sentence for each thing that is wrong with the site."""
    pages = {file: parse_page(file.read_text("utf-8")) for file in sorted(site.rglob("*.html"))}
    if not pages:
        yield f"{site} has no pages"
    for file, page in pages.items():
        name = file.relative_to(site).as_posix()
        yield from (f"{name}: it fetches {each}" for each in page.fetched if _REMOTE.match(each))
        for link in [*page.links, *page.fetched]:
            if not _REMOTE.match(link) and not link.startswith("mailto:") and not _leads(site, file, link, pages):
                yield f"{name}: {link} leads nowhere"
    for file in sorted(site.rglob("*.css")):
        remote = re.findall(r"""(?:@import\s+|url\(\s*)["']?((?:https?:)?//[^"')\s]+)""", file.read_text("utf-8"))
        yield from (f"{file.relative_to(site).as_posix()}: it fetches {each}" for each in remote)
    yield from _find_search_problems(site, [file.relative_to(site).as_posix() for file in pages])


def _leads(site: Path, file: Path, link: str, pages: dict[Path, Page]) -> bool:
    """Returns whether a local link leads to a file, and to an anchor of it where it names one."""
    path, _, anchor = unquote(link).partition("#")
    target = file
    if path:
        target = Path(os.path.normpath(site / path.lstrip("/") if path.startswith("/") else file.parent / path))
    if target.is_dir():
        target /= "index.html"
    if not target.is_file():
        return False
    return not anchor or target not in pages or anchor in pages[target].anchors


def _find_search_problems(site: Path, pages: list[str]) -> Iterator[str]:
    """Yields a sentence for each page that the index of the search does not have."""
    index = site / "search.json"
    if not index.is_file():
        yield "there is no index for the search"
        return
    known = {item["location"].split("#")[0] or "index.html" for item in json.loads(index.read_text("utf-8"))["items"]}
    yield from (f"{page}: the search does not know it" for page in pages if page != "404.html" and page not in known)


def main() -> int:
    """Checks the site; returns 1 when something is wrong with it."""
    problems = list(find_problems(SITE))
    for problem in problems:
        print(f"docs: {problem}", file=sys.stderr)
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
