"""Objects from manifest files: bytes to text, text to documents, documents to objects."""

from __future__ import annotations

import codecs
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from kubeassay.model import Object, ReadError, Skipped
from kubeassay.sources.files import SourceFile
from kubeassay.sources.live_objects import SNAPSHOT_HEADER, read_live
from kubeassay.sources.objects import objects_of
from kubeassay.sources.rendering import Rendering
from kubeassay.sources.yaml_reader import PlainScalars, read_text

#: What reports call the objects that came from standard input.
STDIN_NAME = "stdin"

#: What annotations that except from rules have in them, those of other tools, too; nearly no object does.
_MARKS = (b"kubeassay", b"kube-linter.io", b"checkov")

#: Byte order mark → encoding.
_BYTE_ORDER_MARKS = (
    # UTF-32's marks begin with UTF-16's.
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    (codecs.BOM_UTF8, "utf-8"),
)


def byte_order(content: bytes) -> tuple[bytes, str]:
    """The byte order mark that the bytes of a file begin with, if any, and the encoding of their text."""
    return next((known for known in _BYTE_ORDER_MARKS if content.startswith(known[0])), (b"", "utf-8"))


@dataclass(slots=True)
class ReadFile:
    """What one file holds."""

    name: str
    #: The text without its byte order mark, or what makes it.
    given: str | Callable[[], str] = ""
    had_bom: bool = False
    objects: list[Object] = field(default_factory=list)
    errors: list[ReadError] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    #: Whether it may state exceptions: of a live object, whether it has a word that annotations begin with.
    marked: bool = True
    #: Whether its objects are part of a rendered text, and not judged by themselves.
    part: bool = False

    @property
    def text(self) -> str:
        return self.given if isinstance(self.given, str) else self.given()


def read_file(file: SourceFile, remembered: PlainScalars | None = None) -> ReadFile:
    """Read one file. Never raises for what the file is or holds: problems are in ``errors``."""
    if file.live is not None:
        live = file.live[file.name]
        text, objects, errors = read_live(live, file.name)
        return ReadFile(file.name, text, objects=objects, errors=errors, marked=any(mark in live for mark in _MARKS))
    try:
        content = regular_content(file.path) if file.content is None else file.content
    except OSError as error:
        message = f"cannot be read: {error.strerror or error}"
        return ReadFile(file.name, errors=[ReadError(file=file.name, message=message)])
    if content is None:
        return ReadFile(file.name, errors=[ReadError(file=file.name, message="is not a regular file")])
    if file.part and not any(mark in content for mark in _MARKS):
        # Nothing of it is judged, and it has no exception, either.
        return ReadFile(file.name, marked=False, part=True)
    read = read_bytes(content, file.name, remembered)
    if file.part:
        # What is wrong with it is told by what renders it.
        return ReadFile(file.name, read.given, read.had_bom, read.objects, part=True)
    if file.rendering is not None:
        read.objects = [_deployed(obj, file.rendering) for obj in read.objects]
        if file.rendering.written:
            read.errors = [replace(error, file=file.rendering.written) for error in read.errors]
            read.skipped = [replace(entry, file=file.rendering.written) for entry in read.skipped]
    if file.role is not None and not read.objects:
        read.skipped = [Skipped(file.name, *file.role)]
    return read


def _deployed(obj: Object, rendering: Rendering) -> Object:
    """An object of a rendered text, with its places in what it was made of."""
    obj.made_of = rendering.made_of
    return obj if rendering.adjusted is None else rendering.adjusted(obj)


def regular_content(path: str | os.PathLike[str], most: int = -1) -> bytes | None:
    """The bytes of a file, or the first of them; None for what is no regular file. Raises OSError."""
    # Without O_NONBLOCK, opening a FIFO that took the file's place would wait for a writer.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        with open(descriptor, "rb", closefd=False) as stream:
            return stream.read(most)
    finally:
        os.close(descriptor)


def read_bytes(content: bytes, name: str, remembered: PlainScalars | None = None) -> ReadFile:
    """Read the bytes of one file."""
    read = ReadFile(name)
    if content.startswith(SNAPSHOT_HEADER):
        # What of the cluster was not readable is in its header: read as manifests, all of that would be absent.
        said = "is a snapshot of a cluster: kubeassay scan reads it where it is the only PATH"
        read.errors.append(ReadError(name, said, 1, 1))
        return read
    mark, encoding = byte_order(content)
    content = content[len(mark) :]
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        before = content[: error.start].decode(encoding, "replace")
        line = before.count("\n") + 1
        column = len(before.rpartition("\n")[2]) + 1
        read.errors.append(ReadError(name, f"is not {encoding.upper()} text: {error.reason}", line, column))
        return read
    read.had_bom = bool(mark)
    read.given = text
    documents = read_text(text, name, remembered)
    is_json = name.lower().endswith(".json")
    for problem, (line, chunk) in zip(documents.errors, documents.unreadable, strict=True):
        if _is_template(chunk):
            detail = "a template: it cannot be read before it is rendered"
            read.skipped.append(Skipped(name, "helm-template", detail, line))
        elif is_json and _is_no_object(chunk):
            read.skipped.append(Skipped(name, "not-kubernetes", f"not readable ({problem.message})", line))
        else:
            read.errors.append(problem)
    for document in documents.documents:
        for found in objects_of(document):
            if isinstance(found, Object):
                found.number = len(read.objects)
                read.objects.append(found)
            elif isinstance(found, ReadError):
                read.errors.append(found)
            else:
                read.skipped.append(found)
    if not (read.objects or read.errors or read.skipped):
        read.skipped.append(Skipped(name, "empty", "no document"))
    return read


def _is_no_object(text: str) -> bool:
    """Whether an unreadable JSON text cannot be a Kubernetes object: a configuration with comments, say. An escape
    could spell any key."""
    return '"apiVersion"' not in text and "\\u" not in text


def _is_template(text: str) -> bool:
    opening = text.find("{{")
    return opening != -1 and text.find("}}", opening) != -1
