"""The page about operations names what needs a restart."""

import re
from typing import Final

from reasoning_grpc.config import options
from scripts.pages import ROOT

PAGE: Final = ROOT / "docs" / "operations.md"


def test_the_page_names_every_option_that_needs_a_restart() -> None:
    """The list in the section about reloads is that of the options themselves, in their order."""
    section = PAGE.read_text("utf-8").partition("\n## Reload\n")[2].partition("\n## ")[0]
    paragraph = next(text for text in section.split("\n\n") if text.startswith("`listen`"))

    assert re.findall(r"`(\w+)`", paragraph) == [option.name for option in options() if option.needs_restart]
