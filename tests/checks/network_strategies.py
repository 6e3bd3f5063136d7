"""Random NetworkPolicies, and a cluster in which they make a difference."""

from __future__ import annotations

from hypothesis import strategies as st

from analysis.network.cluster_kit import namespace, pods, policy

_LABEL = st.sampled_from(["{}", "{matchLabels: {a: x}}", "{matchLabels: {a: z}}", "{matchLabels: {a: x, b: x}}"])
_EXPRESSION = st.builds(
    "{{matchExpressions: [{{key: a, operator: {}}}]}}".format,
    st.sampled_from(["Exists", "DoesNotExist", "In, values: [x, z]", "NotIn, values: [x]", "NotIn, values: [x, z]"]),
)
_SELECTOR = _LABEL | _EXPRESSION
_PEER = st.one_of(
    st.builds("{{podSelector: {}}}".format, _SELECTOR),
    st.builds("{{namespaceSelector: {}}}".format, _SELECTOR),
    st.builds("{{namespaceSelector: {}, podSelector: {}}}".format, _SELECTOR, _SELECTOR),
    st.builds(
        "{{ipBlock: {{cidr: {}}}}}".format, st.sampled_from(["10.0.0.0/8", "10.1.0.0/16", "0.0.0.0/0", "10.1.0.0/17"])
    ),
)
_PORTS = st.sampled_from(["", *(f"ports: [{p}]" for p in ("{port: 80}", "{port: 80, endPort: 90}", "{port: http}"))])
_TYPES = st.sampled_from(["[Ingress]", "[Egress]", "[Ingress, Egress]"])


@st.composite
def policies(draw: st.DrawFn) -> list[str]:
    found = []
    for number in range(draw(st.integers(2, 4))):
        parts = [f"podSelector: {draw(_SELECTOR)}", f"policyTypes: {draw(_TYPES)}"]
        for direction, field in (("ingress", "from"), ("egress", "to")):
            rules = []
            for _ in range(draw(st.integers(0, 2))):
                peers = draw(st.lists(_PEER, max_size=2))
                stated = [f"{field}: [{', '.join(peers)}]"] if peers else []
                ports = draw(_PORTS)
                rules.append("{" + ", ".join([*stated, *([ports] if ports else [])]) + "}")
            if rules:
                parts.append(f"{direction}: [{', '.join(rules)}]")
        found.append(policy("{" + ", ".join(parts) + "}", name=f"p{number}"))
    return found


CLUSTER = (
    namespace("shop", a="x")
    + namespace("data", a="z")
    + namespace("lab")
    + "---\n"
    + pods(
        shop__one="a=x http:80/TCP",
        shop__two="a=z b=x http:85/TCP",
        shop__three="a=x b=x",
        shop__four="b=z",
        data__five="a=x",
        data__six="",
        lab__seven="a=z http:80/TCP",
    )
)
