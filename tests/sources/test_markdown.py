"""Documents: which blocks are read, and that every value has the line it stands in."""

from __future__ import annotations

import codecs

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from kit import run_within_seconds
from kubeassay.model.document import Document, Node
from kubeassay.sources.files import UsageError, is_markdown
from kubeassay.sources.loose_yaml import read_loosely
from kubeassay.sources.markdown import MAX_DOCUMENT_SIZE, document_in, heading, language_of


def read(text: str) -> Document:
    return document_in(text.encode(), "doc.md")


def lines_of(document: Document) -> dict[str, int]:
    """Key → line of the top entries of every YAML block."""
    return {key: child.line for block in document.blocks for node in block.nodes for key, child in node.entries.items()}


def problems_of(document: Document) -> list[tuple[int | None, str]]:
    return [(problem.line, problem.message) for problem in document.problems]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("```yaml\nkey: 1\n```\n", 2),
        ("~~~~ YAML\nkey: 1\n~~~~\n", 2),
        ("````yml title=x\n```\nkey: 1\n````\n", 3),
        ("   ```yaml\n   key: 1\n   ```\n", 2),
        ("```{.yaml .numbered}\nkey: 1\n```\n", 2),
        ("``` yaml,linenos\nkey: 1\n```\n", 2),
        ("```yaml\nkey: 1\n", 2),
        ("# A\n\ntext\n\n- one\n\n  ```yaml\n\n  key: 1\n  ```\n", 9),
        ("1. one\n   - two\n\n     ```yaml\n     key: 1\n     ```\n", 5),
        ("> quoted\n>\n> > ```yaml\n> > key: 1\n> > ```\n", 4),
        ("```yaml\r\n\r\nkey: 1\r\n```\r\n", 3),
        ("```yaml\rkey: 1\r```\r", 2),
        ("\ufeff```yaml\nkey: 1\n```\n", 2),
        ("text\n```yaml\nkey: 1\n```\n", 3),
        ("```yaml\n---\n# c\nkey: 1\n...\n```\n", 4),
        # No blocks of YAML.
        ("```yamlish\nkey: 1\n```\n", None),
        ("``yaml\nkey: 1\n``\n", None),
        ("```python\nkey: 1\n```\n", None),
        ("    key: 1\n", None),
        ("key: 1\n", None),
        ("<!--\n```yaml\nkey: 1\n```\n-->\n", None),
        ("text ```yaml key: 1``` text\n", None),
    ],
)
def test_blocks_are_those_of_commonmark_and_lines_are_exact(text: str, line: int | None) -> None:
    found = lines_of(read(text))
    assert found == ({"key": line} if line is not None else {})


def test_yaml_in_a_comment_is_told_and_not_read() -> None:
    assert problems_of(read("a\n\n<!--\n```yaml\nkey: 1\n```\n-->\n")) == [
        (3, "YAML inside HTML (a comment, say) is not read")
    ]


def test_an_object_in_a_block_without_a_language_is_read() -> None:
    text = "```\napiVersion: v1\nkind: Namespace\n```\n\n    apiVersion: v1\n    kind: Secret\n\n```\nkind: of\n```\n"
    kinds = [[node.entries["kind"].value for node in block.nodes] for block in read(text).blocks]
    assert kinds == [["Namespace"], ["Secret"], []]


def test_tables_are_told() -> None:
    document = read("# T\n\n| Namespace | CPU |\n| --- | --- |\n| shop | 10 |\n")
    assert [(block.language, block.line) for block in document.blocks] == [("table", 3)]


def test_keys_beside_the_first_of_an_item_may_be_indented_by_more() -> None:
    document = read(
        "```yaml\nrules:\n- verbs: [get]\n    resources: [pods]\n- verbs: [list]\n    resources: [jobs]\n```\n"
    )
    (node,) = document.blocks[0].nodes
    assert node.plain == {
        "rules": [{"verbs": ["get"], "resources": ["pods"]}, {"verbs": ["list"], "resources": ["jobs"]}]
    }


def test_sections_are_the_headings_above() -> None:
    text = """Title
=====

## 1. 🔒 **Security**

### 1.1 [Pods](https://example)

```yaml
a: 1
```

## Storage

Other
-----

```yaml
b: 1
```
"""
    document = read(text)
    assert document.title == "Title"
    assert [block.section for block in document.blocks] == [("Security", "Pods"), ("Other",)]
    assert document.bare_sections == ((12, "Storage"),)


@pytest.mark.parametrize(
    ("text", "shown"),
    [("🏗️ EKS Cluster", "EKS Cluster"), ("2.1. `kube-system`", "kube-system"), ("2024 plans", "plans"), ("🚀", "🚀")],
)
def test_heading(text: str, shown: str) -> None:
    assert heading(text) == shown


def test_language() -> None:
    assert [language_of(info) for info in ("yaml", " YML x", "{.yaml}", "", "c++", "*")] == [
        "yaml", "yml", "yaml", "", "c++", "",
    ]  # fmt: skip


def test_markdown_by_name() -> None:
    assert [is_markdown(name) for name in ("A.MD", "a.markdown", "a.yaml", "md")] == [True, True, False, False]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a\nb\xff\n", "doc.md:2: is not UTF-8 text: invalid start byte"),
        (b"a\n\0", "doc.md:2: holds a NUL character: not a text"),
        (b" " * (MAX_DOCUMENT_SIZE + 1), "doc.md: a document of more than 16 MiB"),
        (codecs.BOM_UTF16_LE + b"a", "doc.md:1: is not UTF-16-LE text: truncated data"),
    ],
)
def test_what_is_no_text_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(UsageError) as refused:
        document_in(content, "doc.md")
    assert str(refused.value) == message


def test_other_encodings_with_a_mark_are_read() -> None:
    document = document_in(codecs.BOM_UTF16_BE + "```yaml\nä: 1\n```\n".encode("utf-16-be"), "doc.md")
    assert lines_of(document) == {"ä": 2}


# --- loose YAML ---


def plain(node: Node) -> object:
    """A value with what stands below scalars, as (value, below)."""
    if isinstance(node.value, tuple):
        return [plain(member) for member in node.value]
    if not node.is_scalar:
        return {key: plain(child) for key, child in node.entries.items()}
    return node.value if node.below is None else (node.value, plain(node.below))


def loosely(text: str) -> tuple[list[object], list[int | None]]:
    loose = read_loosely(text, "doc.md", 11)
    return [plain(node) for node in loose.nodes], [problem.line for problem in loose.problems]


@pytest.mark.parametrize(
    ("text", "values", "problems"),
    [
        # A list below a value: a text of several lines to YAML.
        ("A: one\n  - x\n  - z\nB: 2\n", [{"A": ("one", ["x", "z"]), "B": 2}], [11]),
        ("top:\n  A: one\n    b: 1\n", [{"top": {"A": ("one", {"b": 1})}}], [12, 13]),
        # A colon in a text.
        ("A: at most: 3\nB: 2\n", [{"A": "at most: 3", "B": 2}], [11, 11]),
        # A tab.
        ("A:\n\tb: 1\n\tc:\n\t\t- d\n", [{"A": {"b": 1, "c": ["d"]}}], [12]),
        # What can be read is, the rest is told.
        ("A: {\nB: 2\nC:\n- 1\n- [x\n", [{"B": 2, "C": [1]}], [11, 13, 15]),
        ("A: *nowhere\nB: 2\n", [{"B": 2}], [11, 11]),
        ("A: 1\njust words\nB: 2\n", [{"A": 1, "B": 2}], [12, 13]),
        # One document of several.
        ("a: 1\n---\nb: [\n---\nc: 3\n", [{"a": 1}, {"c": 3}], [13, 14]),
        # A key twice.
        ("A: 1\nA: 2\n", [{"A": 2}], [12]),
    ],
)
def test_what_is_no_yaml_is_read_entry_by_entry(text: str, values: list[object], problems: list[int]) -> None:
    found, told = loosely(text)
    assert found == values
    assert told == problems


def test_a_list_that_yaml_takes_for_text_is_told_at_its_line() -> None:
    loose = read_loosely("E:\n  Dev Cluster: acme-dev\n    - small\n  Prod Cluster: acme-prod\n    - large\n", "d", 101)
    (root,) = loose.nodes
    dev, prod = root.entries["E"].entries.values()
    assert [(dev.value, dev.line), (prod.value, prod.line)] == [("acme-dev", 102), ("acme-prod", 104)]
    assert [(m.value, m.line) for m in (*dev.members, *prod.members)] == [("small", 103), ("large", 105)]
    assert [problem.line for problem in loose.problems] == [102, 104]


def test_versions_keep_how_they_are_written() -> None:
    (root,) = read_loosely("a: 1.30\nb: '1.30'\n", "d", 1).nodes
    assert [(node.value, node.text) for node in root.entries.values()] == [(1.3, "1.30"), ("1.30", "1.30")]


@given(st.text(st.sampled_from("ab:- \n\t#'\"[]{}&*|>!%1.,?"), max_size=80))
def test_any_text_is_read_and_never_raises(text: str) -> None:
    loose = read_loosely(text, "doc.md", 1)
    count = text.count("\n") + 1
    stack = list(loose.nodes)
    while stack:
        node = stack.pop()
        assert 1 <= node.line <= count + 1
        stack.extend(child for _, child in node.children())


_SCALARS = st.one_of(st.integers(0, 99), st.sampled_from(["x", "two words", "100m", ""]), st.booleans())
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from("klmp"), _VALUES, min_size=1, max_size=4), st.integers(0, 3), st.booleans())
def test_valid_yaml_is_what_yaml_says_wherever_the_block_stands(
    value: dict[str, object], blank: int, quoted: bool
) -> None:
    text = yaml.safe_dump(value, sort_keys=False)
    block = f"```yaml\n{text}```\n"
    if quoted:
        block = "".join(f"> {line}\n" for line in block.splitlines())
    document = read("\n" * blank + block)
    (found,) = document.blocks
    assert [node.plain for node in found.nodes] == [value]
    assert document.problems == ()
    lines = text.splitlines()
    for key, child in found.nodes[0].entries.items():
        assert lines[child.line - blank - 2].startswith(f"{key}:")


@pytest.mark.parametrize(
    "code",
    [
        # Nesting, of containers and of values; aliases; keys without end; blocks without end.
        "'> ' * 30000 + '```yaml'",
        "'```yaml\\n' + '- ' * 50000 + '\\n'",
        "'```yaml\\n' + '[' * 50000",
        "'```yaml\\na: &a [x, x]\\n' + ''.join(f'k{n}: &k{n} [*k{n-1}, *k{n-1}]\\n' for n in range(1, 60))",
        "'```yaml\\n' + ''.join(f'{\" \" * n}k{n}: v: w\\n' for n in range(500))",
        "'```yaml\\na: 1\\n```\\n' * 30000",
        "'```yaml\\n' + 'a: b: c\\n' * 3000",
        "'# h\\n' * 50000",
        "'# ' + '[a](' * 200000 + '\\n# ' + '[' * 200000 + '\\n'",
        "'```yaml\\n' + 'a' * 1000000 + ': b: c\\n'",
        "'```yaml\\n' + 'a b ' * 200000 + '\\nc: d: e\\n'",
    ],
)
def test_hostile_documents_take_no_long_time(code: str) -> None:
    run_within_seconds(
        f"""
from kubeassay.sources.files import UsageError
from kubeassay.sources.markdown import document_in
try:
    document_in(({code}).encode(), "doc.md")
except UsageError:
    pass
""",
        seconds=60,
    )
