"""What an HTML page says, and whether its elements are closed in order."""

from __future__ import annotations

from html.parser import HTMLParser

__all__ = ["HtmlPage"]

VOID = {"img", "input", "meta"}


class HtmlPage(HTMLParser):
    """Fails where an element is not closed, or not in order.

    Attributes:
        tags: in order.
        ids: of elements.
        pointers: ids that elements name as their label or description.
        links: where they lead to.
        pictures: text that stands for each picture, and its address.
        texts: with the tag that each is in.
    """

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.pointers: list[str] = []
        self.links: list[str] = []
        self.pictures: list[tuple[str, str]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember what is asked for."""
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        found = {name: str(value) for name, value in attrs}
        self.ids += [found["id"]] if "id" in found else []
        self.links += [found["href"]] if "href" in found else []
        if "src" in found:
            self.pictures.append((found["alt"], found["src"]))
        for name in ("for", "aria-describedby", "aria-labelledby"):
            self.pointers += [found[name]] if name in found else []

    def handle_endtag(self, tag: str) -> None:
        """See that it is the innermost one."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Remember the words, and where they are; those outside of all elements are space."""
        self.texts.append((self.open[-1] if self.open else "", data))

    @property
    def words(self) -> list[str]:
        """All texts."""
        return [text for _, text in self.texts]

    def of(self, tag: str) -> list[str]:
        """Texts within elements with this tag."""
        return [text for inside, text in self.texts if inside == tag and text.strip()]
