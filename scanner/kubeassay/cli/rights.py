"""``kubeassay rights``"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import click

from kubeassay.cli.exits import COMPLIES, INCOMPLETE
from kubeassay.cli.inputs import CONTEXT
from kubeassay.cli.manifest_text import manifest_text
from kubeassay.execution.audit import everything_wanted, wanted
from kubeassay.execution.demand import Demand, demanded
from kubeassay.policy.errors import PolicyError
from kubeassay.policy.library import Library
from kubeassay.reporting.texts import printable
from kubeassay.sources.cluster import Api, connect, discover_kinds, server_version
from kubeassay.sources.files import UsageError

#: (API group, resource) of what has a role of its own, since whoever may list it may read the values in it.
SECRETS = ("", "secrets")


@click.command(context_settings=CONTEXT)
@click.option("--context", metavar="NAME", help="The kubeconfig's context.  [default: the current one]")
@click.option("--kubeconfig", metavar="FILE", help="The kubeconfig.  [default: as kubectl]")
@click.option("--profile", "-p", metavar="NAME|FILE", help="What this profile needs.  [default: what any rule needs]")
@click.option("--name", metavar="NAME", default="kubeassay", show_default=True, help="The name of the ClusterRole.")
@click.option("--without-secrets", is_flag=True, help="Leave out the right to list Secrets.")
@click.option("--allow-incomplete", is_flag=True, help="Exit 0, not 3, when an API could not be discovered.")
@click.pass_context
def rights(ctx: click.Context, /, **options: Any) -> int:
    """Print the ClusterRole that an audit of a cluster needs: to list what rules need, of what the cluster serves.

    Custom resources are those that are served now. Secrets are in a ClusterRole of their own, NAME-secrets. Anybody may
    ask; nothing but the discovery of the server is read.
    """
    try:
        by = None if options["profile"] is None else demanded(Demand(profile=options["profile"]))
        api = Api(connect(kubeconfig=options["kubeconfig"], context=options["context"]))
        if by is None:
            needed = everything_wanted(Library().rules.values())
        else:
            needed = wanted(by.of_server(server_version(api)).plan)
        found = discover_kinds(api)
    except (PolicyError, UsageError) as error:
        raise click.UsageError(str(error), ctx) from None
    resources = {(kind.group, kind.resource) for kind in found.kinds if needed.wants(kind)}
    what = "any rule" if by is None else f"profile {by.plan.profile.name}"
    click.echo(printable(f"# What {what} needs, of what cluster {api.connection.name} serves."))
    click.echo(manifest_text(cluster_role(options["name"], resources - {SECRETS})), nl=False)
    if SECRETS in resources and not options["without_secrets"]:
        click.echo("---\n# Who may list Secrets may read them; an audit asks for their metadata alone.")
        click.echo(manifest_text(cluster_role(f"{options['name']}-secrets", [SECRETS])), nl=False)
    for unread in found.unread:
        click.echo(printable(f"not told: {unread.detail}"), err=True)
    return INCOMPLETE if found.unread and not options["allow_incomplete"] else COMPLIES


def cluster_role(name: str, resources: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """A ClusterRole by which resources, as (API group, resource), can be listed."""
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name},
        "rules": list_rules(resources),
    }


def list_rules(resources: Iterable[tuple[str, str]]) -> list[dict[str, list[str]]]:
    """The rules of such a role, one an API group, in order."""
    by_group: dict[str, list[str]] = defaultdict(list)
    for group, resource in sorted(resources):
        by_group[group].append(resource)
    return [{"apiGroups": [group], "resources": members, "verbs": ["list"]} for group, members in by_group.items()]
