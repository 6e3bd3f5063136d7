"""Which image a container runs: tag, digest and registry."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from kubeassay.analysis.sensitive import has_user
from kubeassay.checks.check import ContainerSubject, Context, NotApplicable, NotJudged, Violation, check

#: Where an image without a registry comes from, and the folder of one without any folder there.
_DEFAULT_REGISTRY = "docker.io"
_DEFAULT_FOLDER = "library"
#: Istio's injector replaces this by the proxy's image (gateway injection).
_INJECTED = "auto"


class ImageReference(NamedTuple):
    """An image reference in its parts. ``repository`` is the name without the registry; tag and digest may be ""."""

    registry: str
    repository: str
    tag: str
    digest: str

    @property
    def name(self) -> str:
        return f"{self.registry}/{self.repository}"


def parse_image(image: str) -> ImageReference:
    """Read ``registry:port/folder/name:tag@digest`` as container runtimes do.

    The first part is a registry when it holds a dot or a colon or is ``localhost``; otherwise the image is one of
    Docker Hub's. Nothing is refused: what is no image reference yields parts that no rule accepts.
    """
    name, _, digest = image.partition("@")
    first, slash, rest = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        registry = first
    else:
        registry, rest = _DEFAULT_REGISTRY, name
    repository, tag = rest, ""
    colon = rest.rfind(":")
    if colon > rest.rfind("/"):
        repository, tag = rest[:colon], rest[colon + 1 :]
    if registry in (_DEFAULT_REGISTRY, "index.docker.io"):
        registry = _DEFAULT_REGISTRY
        if "/" not in repository:
            repository = f"{_DEFAULT_FOLDER}/{repository}"
    return ImageReference(registry, repository, tag, digest)


#: The longest reference that is shown in full.
_MAX_SHOWN = 500
#: What stands in front of the last @ that begins no digest.
_USER = re.compile(r".*@(?![A-Za-z0-9+._-]+:[0-9a-fA-F]*\Z)", re.DOTALL)


def _image(subject: ContainerSubject) -> str:
    """The container's image; empty where there is none or where it is only put in later."""
    image = subject.container.spec.get("image")
    return image if isinstance(image, str) and image != _INJECTED else ""


def _shown(image: str) -> str:
    """An image as a message may name it: without a user and a password in front of an @, and not at any length."""
    if has_user(image):
        # A digest may follow.
        host = _USER.sub("•••@", image, count=1)
        image = host if host != image else "•••"
    return image if len(image) <= _MAX_SHOWN else f"{image[:_MAX_SHOWN]}…"


def _placeholder(image: str) -> bool:
    """Whether a template or a variable is still to be filled in."""
    return "$" in image or "{{" in image or "<" in image


def _not_rendered(subject: ContainerSubject, image: str) -> tuple[NotJudged]:
    container = subject.container
    return (NotJudged("not-rendered", f"{subject.pod.obj.ref}: container {container.name} has image {_shown(image)}"),)


def _violation(subject: ContainerSubject, message: str) -> Violation:
    container = subject.container
    return Violation((*container.path, "image"), f"container {container.name} {message}", container=container.name)


@check("image-tag-latest")
def image_tag_latest(subject: ContainerSubject, context: Context) -> Iterable[Violation | NotJudged]:
    image = _image(subject)
    if not image:
        # A custom resource may leave the image to its operator; Kubernetes' own kinds may not.
        if subject.pod.built_in and not subject.container.spec.get("image"):
            return (_violation(subject, "has no image"),)
        return ()
    if _placeholder(image):
        return _not_rendered(subject, image)
    if "@" in image and not has_user(image):
        return ()
    colon = image.rfind(":")
    if colon <= image.rfind("/"):
        return (_violation(subject, f"runs image {_shown(image)}, whose missing tag means latest"),)
    if image[colon:] == ":latest":
        return (_violation(subject, f"runs image {_shown(image)}"),)
    return ()


#: github.com/distribution/reference v0.6.0, regexp.go: a host, folders, a tag and a digest, of the algorithms and with
#: the lengths of github.com/opencontainers/go-digest.
_HOST_PART = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_HOST = rf"(?:{_HOST_PART}(?:\.{_HOST_PART})*|\[[A-Fa-f0-9:]+\])(?::[0-9]+)?"
_FOLDER = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_FORM = re.compile(
    rf"(?:{_HOST}/)?(?P<path>{_FOLDER}(?:/{_FOLDER})*)(?::[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}})?"
    r"(?:@(?:sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128}))?\Z"
)
#: What would be taken for the identifier of an image.
_IDENTIFIER = re.compile(r"[0-9a-f]{64}\Z")
_MAX_LENGTH = 255


@lru_cache(maxsize=4096)
def _is_reference(image: str) -> bool:
    # The pattern is not tried on what is far longer than any reference: name, tag, digest.
    if len(image) > 1024:
        return False
    match = _FORM.match(image)
    return match is not None and len(match["path"]) <= _MAX_LENGTH and _IDENTIFIER.match(image) is None


@check("image-reference-invalid")
def image_reference_invalid(subject: ContainerSubject, context: Context) -> Iterable[Violation | NotJudged]:
    image = _image(subject)
    if not image or _is_reference(image):
        return ()
    if _placeholder(image):
        return _not_rendered(subject, image)
    return (_violation(subject, f'names image "{_shown(image)}", which is no image reference'),)


@check("image-digest")
def image_digest(subject: ContainerSubject, context: Context) -> Iterable[Violation | NotJudged]:
    image = _image(subject)
    if not image or "@sha256:" in image or "@sha512:" in image:
        return ()
    if _placeholder(image):
        return _not_rendered(subject, image)
    return (_violation(subject, f"runs image {_shown(image)}, which no digest pins"),)


@check("image-registry")
def image_registry(subject: ContainerSubject, context: Context) -> Iterable[Violation | NotJudged | NotApplicable]:
    allowed = context.parameters["allowed_registries"]
    image = _image(subject)
    if not allowed:
        return (NotApplicable(),)
    if not image:
        return ()
    name = parse_image(image).name
    if any(name.startswith(f"{prefix.rstrip('/')}/") or name == prefix for prefix in allowed):
        return ()
    return (_violation(subject, f"runs image {_shown(image)}, which comes from none of {', '.join(allowed)}"),)
