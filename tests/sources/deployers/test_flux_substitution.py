"""Variables of postBuild. Cases: fluxcd/pkg, envsubst/eval_test.go, written anew."""

from __future__ import annotations

import pytest
from deployer_trees import CONFIG_MAP

from kit import objects_in, run_within_seconds
from kubeassay.sources.deployers.envsubst import is_disabled, substituted
from kubeassay.sources.deployers.model import Substitution, UnfollowableError

_VARIABLES = {
    "word": "abcDEF12",
    "path": "/srv/data/file.tar.gz",
    "upper": "ABC",
    "twice": "abcXabc",
    "dotted": "x.y.z",
}


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("plain", "plain"),
        ("${word}", "abcDEF12"),
        ("${gone}", ""),
        ("$word stays", "$word stays"),
        ("a$", "a$"),
        ("$${word}", "${word}"),
        ("$$$${word}", "$${word}"),
        ("$$${word}", "$abcDEF12"),
        ("$${a=${word}}", "${a=abcDEF12}"),
        ("${#word}", "8"),
        ("${word^}", "AbcDEF12"),
        ("${word^^}", "ABCDEF12"),
        ("${upper,}", "aBC"),
        ("${upper,,}", "abc"),
        ("${path:5}", "data/file.tar.gz"),
        ("${path:5:4}", "data"),
        ("${path:-3}", "/srv/data/file.tar.gz"),
        ("${word:20}", ""),
        ("${word:20:2}", ""),
        ("${word:6:9}", "12"),
        ("${word=x}", "abcDEF12"),
        ("${gone=x}", "x"),
        ("${gone:=x}", "x"),
        ("${gone:-x y}", "x y"),
        ("${gone:-}", ""),
        ("${gone:?x}", "x"),
        ("${word:+x}", "abcDEF12"),
        ("${gone=${word}-s}", "abcDEF12-s"),
        ("${gone:=p${word}${gone:-q}}", "pabcDEF12q"),
        ("${twice/abc/z}", "zXabc"),
        ("${twice//abc/z}", "zXz"),
        ("${twice/#abc/z}", "zXabc"),
        ("${twice/%abc/z}", "abcXz"),
        ("${twice/X/}", "abcabc"),
        ("${path/\\//-}", "-srv/data/file.tar.gz"),
        ("${path//\\//-}", "-srv-data-file.tar.gz"),
        ("${path##*/}", "file.tar.gz"),
        ("${path#*/}", "srv/data/file.tar.gz"),
        ("${dotted#*.}", "y.z"),
        ("${dotted##*.}", "z"),
        ("${dotted%.*}", "x.y"),
        ("${dotted%%.*}", "x"),
        ("\\\\n ${word}", "\\\\n abcDEF12"),
    ],
)
def test_what_is_filled_in(text: str, made: str) -> None:
    assert substituted(text, Substitution(_VARIABLES)).text == made


@pytest.mark.parametrize(
    "text",
    ["${", "${}", "${word", "${word:", "${word:-x", "${word#}", "${-word}", "${word-x}", "${word/a}", "${#word:-x}"],
)
def test_what_flux_refuses(text: str) -> None:
    with pytest.raises(UnfollowableError):
        substituted(text, Substitution(_VARIABLES))


def test_names_and_strictness() -> None:
    with pytest.raises(UnfollowableError):
        substituted("x", Substitution({"no-name": "x"}))
    with pytest.raises(UnfollowableError):
        substituted("${gone}", Substitution(_VARIABLES, strict=True))
    assert substituted("${gone:-x}", Substitution(_VARIABLES, strict=True)).text == "x"
    assert substituted("${gone}", Substitution({})).text == "${gone}"


def test_uses_have_the_lines_of_what_is_made_and_who_states_them() -> None:
    (obj,) = objects_in(CONFIG_MAP)
    origins = {"word": (obj, ("data", "word"))}
    found = substituted("a: ${word}\nb: x\nc: ${gone:=${word}}\n", Substitution(_VARIABLES, origins))
    assert found.text == "a: abcDEF12\nb: x\nc: abcDEF12\n"
    assert [(use.line, use.variable) for use in found.uses] == [(1, "word"), (3, "word"), (3, "gone")]
    assert found.uses[0].origin == (obj, ("data", "word"))
    assert found.uses[2].origin is None


def test_objects_may_say_that_nothing_is_filled_in() -> None:
    key = "kustomize.toolkit.fluxcd.io/substitute"
    assert is_disabled({"metadata": {"labels": {key: "disabled"}}})
    assert is_disabled({"metadata": {"annotations": {key: "disabled"}}})
    assert not is_disabled({"metadata": {"labels": {key: "enabled"}, "annotations": None}})
    assert not is_disabled({})


def test_hostile_texts_end() -> None:
    run_within_seconds(
        """
from kubeassay.sources.deployers.envsubst import substituted
from kubeassay.sources.deployers.model import Substitution, UnfollowableError
big = Substitution({"a": "x" * 1_000_000, "b": "a" * 4000})
for text in ("${a}" * 1000, "${c:=" * 100_000, "${a##*x*x*x*y}", "${b##" + "*a" * 30 + "b}", "${a:99999999999}"):
    try:
        substituted(text, big)
    except UnfollowableError:
        pass
assert len(substituted("$" * 1_000_000 + "${b}" * 1000, big).uses) == 1000
""",
        seconds=40,
    )
