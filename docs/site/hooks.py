"""The site's additional pages, which are outside docs/, and the conversion of links.

Links are written so that they work where the repository is read; here they become those of the site.
"""

import html
import posixpath
import re
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = {
    "README.md": "readme.md",
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
}
"""Documents outside docs/, and their names on the site."""
LINK = re.compile(r"\[([^\]]*)\]\((?!\w+:|#)([^)\s#]+)(#[^)\s]*)?\)")
PIPED_CODE = re.compile(r"`([^`\n]*\\\|[^`\n]*)`")
"""Code in a table with a pipe, which GitHub wants to have a backslash, and which would show here."""
FENCE = re.compile(r"^( *)```.*?^\1```$", re.MULTILINE | re.DOTALL)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the documents and the examples."""
    added = {name: ROOT / source for source, name in DOCUMENTS.items()}
    added |= {f"examples/{path.name}": path for path in sorted((ROOT / "examples").iterdir()) if path.is_file()}
    for name, path in added.items():
        files.append(File.generated(config, name, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Any, config: MkDocsConfig, files: Files) -> str:
    """Convert links outside code to the site's, and unescape pipes in tables' code."""
    documents = {name: source for source, name in DOCUMENTS.items()}
    source = PurePosixPath(documents.get(page.file.src_uri, f"docs/{page.file.src_uri}"))

    def link(found: re.Match[str]) -> str:
        words, target, anchor = found[1], from_root(source, found[2]), found[3] or ""
        name = DOCUMENTS.get(target, target.removeprefix("docs/"))
        # A source of the repository is named, and not on the site.
        on_site = name in files.src_uris or not (ROOT / target).exists()
        relative = posixpath.relpath(name, PurePosixPath(page.file.src_uri).parent)
        return f"[{words}]({relative}{anchor})" if on_site else words

    # Of the pattern's one group split gives the fences' indentation too.
    texts = [PIPED_CODE.sub(piped, LINK.sub(link, text)) for text in FENCE.split(markdown)[::2]]
    fences = [found[0] for found in FENCE.finditer(markdown)]
    return "".join(text + fence for text, fence in zip(texts, [*fences, ""], strict=True))


def piped(found: re.Match[str]) -> str:
    """Code with unescaped pipes."""
    return f"<code>{html.escape(found[1]).replace(chr(92) + '|', '&#124;')}</code>"


def from_root(source: PurePosixPath, target: str) -> str:
    """The target of a document's link, relative to the repository's root."""
    parts: list[str] = []
    for part in (source.parent / target).parts:
        if part == "..":
            parts.pop()
        else:
            parts.append(part)
    return "/".join(parts)
