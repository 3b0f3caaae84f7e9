"""The `markdown` block, by markdown-it: raw HTML is text, pictures are not loaded, addresses are checked."""

from markdown_it import MarkdownIt

from dev.local_slack.render.html import Html

_PARSER = MarkdownIt("js-default", {"html": False, "linkify": False, "breaks": True}).disable("image")


def markdown(text: str) -> Html:
    """markdown-it escapes all text, and refuses `javascript:` and its kin as addresses."""
    return Html(_PARSER.render(text))
