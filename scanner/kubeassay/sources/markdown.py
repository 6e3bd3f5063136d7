"""Markdown documents: their headings and fenced blocks, by CommonMark.

https://spec.commonmark.org/0.31.2/#fenced-code-blocks. markdown-it-py parses the blocks alone: nothing in a paragraph
is looked at.
"""

from __future__ import annotations

import re
from pathlib import Path

from kubeassay.model import ReadError
from kubeassay.model.document import Block, Document
from kubeassay.sources.files import UsageError
from kubeassay.sources.loose_yaml import read_loosely
from kubeassay.sources.manifests import byte_order, regular_content

#: A larger document is refused: no architecture takes more words.
MAX_DOCUMENT_SIZE = 16 * 2**20
#: Lists and quotes in each other, beyond which markdown-it-py leaves out what is inside. Told, see below.
_MAX_NESTING = 100
_YAML_LANGUAGES = frozenset({"yaml", "yml"})
_LANGUAGE = re.compile(r"[{.\s]*(?P<name>[\w+#-]+)")
#: A block of another language, or of none, that is nevertheless a Kubernetes object.
_OBJECT = re.compile(r"^[ \t]*(?:-[ \t]+)?apiVersion:", re.MULTILINE)
_KIND = re.compile(r"^[ \t]*kind:", re.MULTILINE)
#: Emoji and the marks of emphasis and links in a heading.
_DECORATION = re.compile(r"[*_`]+|[\u200d\ufe0f\u20e3]|[\u2190-\u2bff\U0001f000-\U0001faff]")
_LINK = re.compile(r"!?\[(?P<text>[^\[\]]*)\]\([^()]*\)")
_TRAILING_NUMBER = re.compile(r"\A[0-9]+(?:\.[0-9]+)*[.)]?\s+")


def read_document(path: Path, name: str | None = None) -> Document:
    """Read a document. Raises UsageError where there is none to read, or it is no text."""
    file = name if name is not None else path.as_posix()
    try:
        content = regular_content(path, MAX_DOCUMENT_SIZE + 1)
    except OSError as error:
        raise UsageError(f"{file}: cannot be read: {error.strerror or error}") from None
    if content is None:
        raise UsageError(f"{file}: is not a regular file")
    return document_in(content, file)


def document_in(content: bytes, file: str) -> Document:
    """The document in the bytes of a file. Raises UsageError where they are no text, or too many."""
    if len(content) > MAX_DOCUMENT_SIZE:
        raise UsageError(f"{file}: a document of more than {MAX_DOCUMENT_SIZE // 2**20} MiB")
    mark, encoding = byte_order(content)
    content = content[len(mark) :]
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].decode(encoding, "replace").count("\n") + 1
        raise UsageError(f"{file}:{line}: is not {encoding.upper()} text: {error.reason}") from None
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise UsageError(f"{file}:{line}: holds a NUL character: not a text")
    return _document(text, file)


def _document(text: str, file: str) -> Document:
    # Imported here: only a document needs it.
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"maxNesting": _MAX_NESTING})
    parser.core.ruler.enableOnly(["normalize", "block"])
    # What stands in tables is not read, and may well be demanded.
    parser.block.ruler.enable("table")
    try:
        tokens = parser.parse(text)
    except RecursionError:
        raise UsageError(f"{file}: lists and quotes nested too deeply") from None
    title = ""
    #: (depth, line, words) of the headings that what follows stands under.
    headings: list[tuple[int, int, str]] = []
    blocks: list[Block] = []
    problems: list[ReadError] = []
    bare: dict[int, str] = {}
    for number, token in enumerate(tokens):
        line = token.map[0] + 1 if token.map else 0
        section = tuple(name for _, _, name in headings)
        if token.level >= _MAX_NESTING - 1:
            problems.append(ReadError(file, "lists and quotes nested too deeply: what is inside is not read", line))
        if token.type == "table_open":
            blocks.append(Block("table", section, line))
        elif token.type == "heading_open":
            depth = int(token.tag[1:])
            name = heading(tokens[number + 1].content)
            if depth == 1 and not title:
                title = name
                continue
            while headings and headings[-1][0] >= depth:
                headings.pop()
            headings.append((depth, line, name))
            bare[line] = name
        elif token.type in ("fence", "code_block", "html_block"):
            language = language_of(token.info) if token.type == "fence" else ""
            first = line + (1 if token.type == "fence" else 0)
            is_yaml = language in _YAML_LANGUAGES
            if token.type == "html_block":
                # What is commented out is not demanded; who wonders why it is not is told.
                if _OBJECT.search(token.content) or re.search(r"^\s*(?:```|~~~)\s*ya?ml", token.content, re.MULTILINE):
                    problems.append(ReadError(file, "YAML inside HTML (a comment, say) is not read", line))
                continue
            if not is_yaml and language in ("", "text", "json", "jsonc", "k8s", "kubernetes"):
                is_yaml = bool(_OBJECT.search(token.content) and _KIND.search(token.content)) or (
                    language == "json" and '"apiVersion"' in token.content
                )
            for _, heading_line, _ in headings:
                bare.pop(heading_line, None)
            if not is_yaml:
                blocks.append(Block(language, section, line))
                continue
            loose = read_loosely(token.content, file, first)
            problems += loose.problems
            blocks.append(Block("yaml", section, line, tuple(loose.nodes)))
    return Document(
        file=file,
        title=title or Path(file).stem.replace("-", " ").replace("_", " ").capitalize(),
        blocks=tuple(blocks),
        problems=tuple(sorted(problems, key=lambda problem: problem.line or 0)),
        bare_sections=tuple(sorted(bare.items())),
    )


def language_of(info: str) -> str:
    """The language of a fence's info string: ``yaml title="quota"``, ``{.yml}``, ``YAML,linenums``."""
    match = _LANGUAGE.match(info)
    return match["name"].lower() if match else ""


def heading(text: str) -> str:
    """A heading's words: ``### 1. 🔒 **Pods**`` is ``Pods``."""
    words = _DECORATION.sub("", _LINK.sub(lambda match: match["text"], text))
    return _TRAILING_NUMBER.sub("", " ".join(words.split())) or " ".join(text.split())
