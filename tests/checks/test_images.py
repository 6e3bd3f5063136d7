"""Rules of kubeassay.checks.images, and the reading of image references."""

from __future__ import annotations

import json

import pytest

from checks.rule_runner import make_object, paths, pod, run
from kit import plan_of, profile_of, scan_text
from kubeassay.checks.images import ImageReference, parse_image

DIGEST = "sha256:" + "0123456789abcdef" * 4
IMAGE = {"spec.containers[0].image"}


@pytest.mark.parametrize(
    ("image", "parts"),
    [
        ("nginx", ("docker.io", "library/nginx", "", "")),
        ("nginx:1.27", ("docker.io", "library/nginx", "1.27", "")),
        ("index.docker.io/nginx", ("docker.io", "library/nginx", "", "")),
        ("team/app:1", ("docker.io", "team/app", "1", "")),
        ("localhost/app", ("localhost", "app", "", "")),
        ("registry:5000/app", ("registry:5000", "app", "", "")),
        ("registry.example/a/b:1.0@" + DIGEST, ("registry.example", "a/b", "1.0", DIGEST)),
        ("registry.example:5000/a/b@" + DIGEST, ("registry.example:5000", "a/b", "", DIGEST)),
    ],
)
def test_parse_image(image: str, parts: tuple[str, str, str, str]) -> None:
    assert parse_image(image) == ImageReference(*parts)


@pytest.mark.parametrize(
    ("image", "latest", "digest"),
    [
        ("nginx", True, True),
        ("nginx:latest", True, True),
        ("nginx:1.27", False, True),
        ("nginx:latest-1", False, True),
        ("registry:5000/nginx", True, True),
        ("registry:5000/nginx:1", False, True),
        ("nginx@" + DIGEST, False, False),
        ("nginx:latest@" + DIGEST, False, False),
        ("auto", False, False),
    ],
)
def test_tags_and_digests(image: str, latest: bool, digest: bool) -> None:
    assert paths("image-tag-latest", pod(image=image)) == (IMAGE if latest else set())
    assert paths("image-digest", pod(image=image)) == (IMAGE if digest else set())


@pytest.mark.parametrize("image", [None, ""])
def test_a_missing_image_is_told_of_kubernetes_own_kinds_only(image: str | None) -> None:
    assert paths("image-tag-latest", pod(image=image)) == IMAGE
    custom = {
        "apiVersion": "example.com/v1",
        "kind": "Shop",
        "metadata": {"name": "web"},
        "spec": {"containers": [{"name": "app", "image": image}]},
    }
    assert paths("image-tag-latest", make_object(custom)) == set()


@pytest.mark.parametrize(
    ("image", "allowed", "found"),
    [
        ("registry.example/app:1", [], False),
        ("registry.example/app:1", ["registry.example"], False),
        ("registry.example/team/app:1", ["registry.example/team"], False),
        ("registry.example/team/app:1", ["registry.example/team/"], False),
        ("registry.example/teamster/app:1", ["registry.example/team"], True),
        ("registry.example.evil.com/app:1", ["registry.example"], True),
        ("evil.com/registry.example/app:1", ["registry.example"], True),
        ("nginx", ["docker.io/library"], False),
        ("nginx", ["registry.example"], True),
    ],
)
def test_registries(image: str, allowed: list[str], found: bool) -> None:
    assert paths("image-registry", pod(image=image), allowed_registries=allowed) == (IMAGE if found else set())


@pytest.mark.parametrize(
    ("image", "found"),
    [
        ("nginx", False),
        ("registry:5000/a_b/c-d.e:1.0-RC1", False),
        ("Registry.example/app", False),
        ("app@" + DIGEST, False),
        ("app:1 ", True),
        (" app:1", True),
        ("registry.example/App:1", True),
        ("App:1", True),
        ("app:", True),
        ("app@sha256:12", True),
        ("https://registry.example/app", True),
        ("my_app:1.0", False),
        ("my__app", False),
        ("my___app", True),
        ("a--b/c.d", False),
        ("[2001:db8::1]:5000/foo", False),
        ("[2001:db8::1]/foo:1", False),
        ("[2001:xyz::1]/foo:1", True),
        ("localhost/app", False),
        ("registry:5000", False),
        ("-foo", True),
        ("foo-:1", True),
        ("foo-/app", True),
        ("-foo.example/app", True),
        ("a..b/app", True),
        ("registry.example//app", True),
        ("registry.example/app/", True),
        ("app:.1", True),
        ("app:" + "1" * 128, False),
        ("app:" + "1" * 129, True),
        ("app@sha256:" + "A" * 64, True),
        ("app@md5:" + "a" * 32, True),
        ("app@sha512:" + "a" * 128, False),
        ("a" * 64, True),
        ("a" * 256, True),
        ("shop:hunter2@registry.example/app", True),
    ],
)
def test_invalid_references(image: str, found: bool) -> None:
    assert paths("image-reference-invalid", pod(image=image)) == (IMAGE if found else set())


@pytest.mark.parametrize(
    ("image", "shown"),
    [
        ("shop:hunter2@registry.example/app:1", "•••@registry.example/app:1"),
        ("shop:hun@ter2@registry.example/app@" + DIGEST, "•••@registry.example/app@" + DIGEST),
        ("https://shop:hunter2@registry.example/app", "•••@registry.example/app"),
        ("shop:hunter2@", "•••@"),
    ],
)
def test_no_message_names_the_password_of_a_registry(image: str, shown: str) -> None:
    for rule in ("image-reference-invalid", "image-tag-latest", "image-digest", "image-registry"):
        parameters = {"allowed_registries": ["registry.other"]} if rule == "image-registry" else {}
        for violation in run(rule, pod(image=image), **parameters):
            assert shown in violation.message
            assert "ter2" not in violation.message


@pytest.mark.parametrize("rule", ["image-tag-latest", "image-digest", "image-reference-invalid"])
@pytest.mark.parametrize("image", ["${REGISTRY}/app:1", "{{ .Values.image }}", "<image>"])
def test_an_image_that_is_still_to_be_filled_in_is_not_judged(rule: str, image: str) -> None:
    text = json.dumps({"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"name": "a", "image": image}]}})
    result = scan_text(plan_of(profile_of(rule)), text)
    assert [(n.reason, n.rule) for n in result.not_evaluated] == [("not-rendered", rule)]
    assert (result.findings, result.summary.passed, result.summary.not_evaluated) == ((), 0, 1)
