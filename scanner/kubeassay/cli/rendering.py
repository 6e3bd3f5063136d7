"""Options of what is rendered: kustomizations and charts."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from kubeassay.model import KubernetesVersion
from kubeassay.reporting.texts import printable
from kubeassay.sources.files import Discovery, SourceFile, UsageError
from kubeassay.sources.manifests import STDIN_NAME

if TYPE_CHECKING:
    from kubeassay.execution.following import Follow
    from kubeassay.execution.rendering import RenderOptions
    from kubeassay.sources.git_tree import TreeAt

_F = TypeVar("_F", bound=Callable[..., Any])
_SECONDS = 60


def rendering_options(command: _F) -> _F:
    """What is rendered, and how."""
    for option in reversed(
        [
            click.option(
                "--render/--no-render",
                default=True,
                envvar="KUBEASSAY_RENDER",
                help="Render the kustomizations and charts that are found.  [default: render]",
            ),
            click.option("--kustomize", multiple=True, metavar="DIR", help="Build this kustomization. Repeats."),
            click.option("--helm", multiple=True, metavar="CHART", help="Template the chart of this folder. Repeats."),
            click.option("--values", multiple=True, metavar="FILE", help="Values of charts, the last holds. Repeats."),
            click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="A value of charts. Repeats."),
            click.option(
                "--set-string", "set_strings", multiple=True, metavar="KEY=TEXT", help="A value that is text. Repeats."
            ),
            click.option("--release", metavar="NAME", help="The name of charts' releases.  [default: release-name]"),
            click.option(
                "--release-namespace", metavar="NAME", help="The namespace of charts' releases.  [default: default]"
            ),
            click.option(
                "--kube-version", metavar="1.N", help="The version that charts see.  [default: the one judged by]"
            ),
            click.option(
                "--api-versions", multiple=True, metavar="GROUP/VERSION", help="What charts see as well. Repeats."
            ),
            click.option("--hooks", is_flag=True, help="Judge the hooks and tests of charts, too."),
            click.option(
                "--follow",
                type=click.Choice(["argocd", "flux"]),
                multiple=True,
                help="Judge what Applications, or Kustomizations and HelmReleases, deploy as they deploy it. Repeats.",
            ),
            click.option(
                "--repo",
                "repositories",
                multiple=True,
                metavar="URL=DIR",
                help="With --follow: the folder that holds the repository of an address. Repeats.",
            ),
            click.option("--allow-network", is_flag=True, help="Let rendering load what is not in the tree."),
            click.option(
                "--render-timeout",
                type=click.FloatRange(min=0, min_open=True),
                default=_SECONDS,
                show_default=True,
                metavar="SECONDS",
                help="How long one rendering may take.",
            ),
        ]
    ):
        command = option(command)
    return command


#: Options that mean nothing where no chart is rendered.
_OF_CHARTS = {
    "values": "--values",
    "sets": "--set",
    "set_strings": "--set-string",
    "release": "--release",
    "release_namespace": "--release-namespace",
    "kube_version": "--kube-version",
    "api_versions": "--api-versions",
    "hooks": "--hooks",
}


def follow_options(options: Mapping[str, Any]) -> Follow | None:
    """What the options say to follow; None where that is nothing. Raises UsageError."""
    repositories: dict[str, str] = {}
    for text in options["repositories"]:
        # Addresses may have an = in them, as of a query.
        url, equals, folder = text.rpartition("=")
        if not (url and equals and folder):
            raise UsageError(f"--repo {text}: expected URL=DIR")
        repositories[url] = folder
    if not options["follow"]:
        if repositories:
            raise UsageError("--repo says where a repository lies that --follow argocd or --follow flux comes upon")
        return None
    if not options["render"]:
        raise UsageError("--follow renders what is deployed: it does not go with --no-render")
    # Imported here: few trees are followed.
    from kubeassay.execution.following import Follow

    return Follow(frozenset(options["follow"]), repositories)


def named_renderings(options: Mapping[str, Any]) -> bool:
    """Whether the options name something to render: then no PATH is needed."""
    return bool(options["kustomize"] or options["helm"])


def render_options(options: Mapping[str, Any], version: KubernetesVersion) -> RenderOptions:
    """What the options say to render. ``version``: what is judged by. Raises UsageError."""
    from kubeassay.execution.rendering import RenderOptions
    from kubeassay.sources.rendering import HelmDemand, Limits

    for text in (*options["sets"], *options["set_strings"]):
        if "=" not in text:
            raise UsageError(f"--set {text}: expected KEY=VALUE")
    for file in options["values"]:
        if not Path(file).is_file():
            raise UsageError(f"--values {file}: there is no such file")
    if not options["render"] and named_renderings(options):
        raise UsageError("--no-render, and something is named to be rendered")
    demand = HelmDemand(
        "",
        "",
        "",
        release=options["release"] or "release-name",
        namespace=options["release_namespace"] or "default",
        values=tuple(os.path.realpath(file) for file in options["values"]),
        named=frozenset(os.path.realpath(file) for file in options["values"]),
        parameters=(
            *((text, False) for text in options["sets"]),
            *((text, True) for text in options["set_strings"]),
        ),
        kube_version=options["kube_version"] or str(version),
        api_versions=tuple(options["api_versions"]),
        hooks=options["hooks"],
    )
    return RenderOptions(
        options["render"],
        tuple(options["kustomize"]),
        tuple(options["helm"]),
        demand,
        Limits(options["render_timeout"], network=options["allow_network"], cache=not options.get("no_cache")),
    )


def among_files(stdin: bytes | None, discovery: Discovery, options: Mapping[str, Any]) -> bytes | None:
    """What is left of standard input: where deployers are followed it is put among the files, since what it names is
    followed as what files name is."""
    if stdin is None or not options["follow"]:
        return stdin
    discovery.files.append(SourceFile("", STDIN_NAME, len(stdin), content=stdin))
    return None


def render(
    discovery: Discovery,
    options: Mapping[str, Any],
    version: KubernetesVersion,
    *,
    context: bool = False,
    at: TreeAt | None = None,
) -> Discovery:
    """What was discovered, rendered and followed as the options say; what rendering says of itself goes to standard
    error. ``context``: it is what others are judged by, so what the options name is not in it. ``at``: the revision of
    the repository that it was discovered in, where that is not the working tree."""
    if context:
        options = {**options, "kustomize": (), "helm": ()}
    follow = follow_options(options)
    nothing = not (discovery.kustomizations or discovery.charts or follow) or not options["render"]
    if nothing and not named_renderings(options):
        given = next((name for key, name in _OF_CHARTS.items() if options[key]), None)
        if given is not None and not context:
            raise UsageError(f"{given} is for charts, and there is none in what was given")
        return discovery
    # Imported here: few trees are rendered.
    from kubeassay.execution.following import followed
    from kubeassay.execution.rendering import rendered
    from kubeassay.sources.deployers.repositories import local_repository

    chosen = render_options(options, version)
    if follow is None:
        found = rendered(discovery, chosen)
    else:
        if at is not None:
            # The same repository, of which the files lie elsewhere.
            follow = replace(follow, tree=replace(local_repository(at.repository), root=at.root), named=at.named)
        found = followed(discovery, chosen, follow)
    say_notes(found, options)
    return replace(found, notes=[])


def say_notes(found: Discovery, options: Mapping[str, Any], environment: str = "") -> None:
    """Say on standard error what rendering says of itself."""
    about = f"{environment}: " if environment else ""
    for note in found.notes if not options["quiet"] else ():
        click.echo(printable(f"note: {about}{note}"), err=True)
