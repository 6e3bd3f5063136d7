"""Random YAML texts, made to disagree about: number-like words, styles, tags, anchors, merges, odd white space."""

from __future__ import annotations

import random
from collections.abc import Callable

#: Words that YAML versions and libraries read differently, or that lie just beside such a word.
WORDS = (
    *("y", "Y", "yes", "Yes", "YES", "yEs", "n", "N", "no", "No", "NO", "nO", "on", "On", "ON", "oN"),
    *("off", "Off", "OFF", "oFF", "true", "True", "TRUE", "tRue", "false", "False", "FALSE", "fAlse"),
    *("~", "null", "Null", "NULL", "nUll", "nil", "none", "None", "", "=", "<<", "!", "-", "--", "?", ":", "::"),
    *("0", "-0", "+0", "00", "007", "08", "09", "010", "-010", "+010", "0o10", "0O10", "-0o10", "0o8", "0o", "0_7"),
    *("0b11", "0B11", "-0b11", "+0b11", "0b", "0b2", "0b1_1", "0x1F", "0X1f", "-0x1F", "+0x1F", "0x", "0xg", "0x_1"),
    *("1_000", "_1", "1_", "1__0", "-1_0", "1_000.5", "1_0e1_0", "._1", ".1_", "+_1", "-_", "_", "__"),
    *("1e3", "1E3", "1e+3", "1e-3", "1.e3", "1.5e3", ".5e3", "e3", "1e", "1e+", "1e400", "-1e400", "1e-400", ".1e400"),
    *(
        "1.",
        ".1",
        ".",
        "..",
        "...x",
        "1.0",
        "-1.0",
        "+1.0",
        "-.5",
        "+.5",
        "1.2.3",
        "1..2",
        ".5.",
        "0.1",
        "00.1",
        "08.5",
    ),
    *("123456789012345678901234567890", "9223372036854775807", "9223372036854775808", "-9223372036854775808"),
    *("-9223372036854775809", "18446744073709551615", "18446744073709551616", "+18446744073709551615"),
    *("0xffffffffffffffff", "0x10000000000000000", "-0x8000000000000000", "-0x8000000000000001"),
    *("01777777777777777777777", "02000000000000000000000", "0b" + "1" * 64, "0b" + "1" * 65, "-0b" + "1" * 63),
    *("1e20", "1e21", "1e22", "123456789.123456789", "0.1e-6", "1e-7", "16777217.0", "3.4e38", "3.5e38", "1e309"),
    *(".inf", ".Inf", ".INF", "-.inf", "+.inf", ".nan", ".NaN", ".NAN", "-.nan", "+.nan", "inf", "nan", "Infinity"),
    *("1:30", "190:20:30", "-1:30", "1:30.5", "0x1:30", "2020-01-01", "2020-1-1", "2001-12-14t21:59:43.10-05:00"),
    *("2001-12-14 21:59:43.10 -5", "12:00:00", "0p1", "0x1p3", "0x1.8p1", "1f", "1d", "0d10", "1u", "1m", "100Mi"),
    *(
        "a",
        "b",
        "key",
        "Pod",
        "v1",
        "a b",
        "a#b",
        "a: b",
        "a :b",
        "café",
        "日本",
        "\U0001f600",
        "\ufeff",
        "\xa0",
        "\x85x",
    ),
    *(
        "٣",
        "１２",
        "1\u0660",
        "+٣",
        "ʹ",
        "İ",
        "ﬁ",
        "0\u00b2",
        "\u2028x",
        "-a",
        "?a",
        ":a",
        "a:",
        "a-",
        "%a",
        "@a",
        "`a",
        "&",
        "*",
    ),
)

_SCALAR_ALPHABET = "000112789__++--..eExXbBoOaAfFpPnNyY~:iInNfFtTZ"
TAGS = (
    *("!!str ", "!!int ", "!!float ", "!!bool ", "!!null ", "!!binary ", "!!timestamp ", "!!map ", "!!seq ", "!!set "),
    *("!!omap ", "!!merge ", "!!value ", "!local ", "! ", "!<tag:yaml.org,2002:str> ", "!<tag:yaml.org,2002:int> "),
    *("!!python/none ", "!<x> ", "!e!x ", "!!yaml ", "!!pairs "),
)
_FRAGMENTS = (
    *(
        "a",
        "b",
        "a: ",
        "b: ",
        "- ",
        "-",
        "\n",
        "\n",
        "\n",
        "\n  ",
        "\n  ",
        "\n    ",
        " ",
        "  ",
        "? ",
        ": ",
        ":",
        "{",
        "}",
        "[",
        "]",
    ),
    *(
        ", ",
        ",",
        "&a ",
        "&b ",
        "*a",
        "*b",
        "*a ",
        "<<: ",
        "<<",
        "|",
        ">",
        "|+",
        "|-",
        ">+",
        ">-",
        "|2",
        ">1-",
        "#",
        " # c",
        "'",
        '"',
    ),
    *(
        "'a'",
        '"a"',
        '"a\\nb"',
        '"\\x41"',
        '"\\/"',
        '"\\ud83d"',
        '"\\e\\_\\N\\L\\P"',
        "\t",
        "\r\n",
        "\r",
        "\x85",
        "\u2028",
        "\u2029",
    ),
    *(
        "\ufeff",
        "\xa0",
        "%YAML 1.1\n",
        "%YAML 1.2\n",
        "%TAG ! tag:x,2000:\n",
        "%TAG !! tag:y,2000:\n",
        "%FOO x\n",
        "---",
        "--- ",
    ),
    *(
        "\n---\n",
        "...",
        "\n...\n",
        "=",
        "x",
        "1",
        "y",
        "~",
        "!!str ",
        "! ",
        "@",
        "`",
        "\x00",
        "\x07",
        "\x7f",
        "\x80",
        "\ufffe",
        "\U0001f600",
    ),
    *("'", "''", "\\", '\\"', "a b", "é"),
)


class Texts:
    """Makes texts from a seed. The same seed makes the same texts."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.anchors = 0

    def word(self) -> str:
        """A plain scalar, mostly one that might be a number."""
        choice = self.random.random()
        if choice < 0.45:
            return self.random.choice(WORDS)
        return "".join(self.random.choices(_SCALAR_ALPHABET, k=self.random.randint(1, 7)))

    def scalar(self, indent: int = 0, *, key: bool = False, flow: bool = False) -> str:
        """A scalar in a random style; ``indent`` is where the lines of a multi-line one begin."""
        pick = self.random.random
        text = self.word()
        tag = self.random.choice(TAGS) if pick() < 0.08 else ""
        style = pick()
        if style < 0.6 or key:
            if style < 0.5:
                return tag + text
            return tag + (self.double(text) if style < 0.55 else "'" + text.replace("'", "''") + "'")
        if style < 0.7:
            return tag + self.double(text)
        if style < 0.8:
            return tag + "'" + text.replace("'", "''") + "'"
        pad = "\n" * self.random.randint(1, 2) + " " * (indent + self.random.randint(0, 2))
        if style < 0.85:
            return tag + text + pad + self.word()
        if style < 0.9 or flow:
            return (
                tag + '"' + text.replace("\\", "").replace('"', "") + self.random.choice(("", "\\", " ")) + pad + 'z"'
            )
        return tag + self.block(indent)

    def double(self, text: str) -> str:
        """A double-quoted scalar, characters escaped in random ways."""
        parts = []
        for character in text:
            number = ord(character)
            if character in '"\\' or self.random.random() < 0.1:
                forms = [f"\\U{number:08x}"]
                if number < 0x10000:
                    forms.append(f"\\u{number:04X}")
                if number < 0x100:
                    forms.append(f"\\x{number:02x}")
                parts.append(self.random.choice(forms))
            else:
                parts.append(character)
        parts.append(
            self.random.choice(
                ("", "", "", "\\n", "\\t", "\\0", "\\ ", "\\/", "\\\t", "\\e", "\\N", "\\_", "\\q", "\\L")
            )
        )
        return '"' + "".join(parts) + '"'

    def block(self, indent: int) -> str:
        """A block scalar with a random header, lines and end."""
        choose = self.random.choice
        inner = indent + self.random.randint(1, 3)
        header = choose("|>") + choose(("", "", "+", "-", "1", "2+", "-2")) + choose(("", "", " # comment", " "))
        lines = []
        for _ in range(self.random.randint(0, 5)):
            lines.append(choose(("", "", " " * inner, " " * (inner + 1), "\t", None, None, None)))
            if lines[-1] is None:
                lines[-1] = " " * (inner + choose((0, 0, 0, 1, 2))) + choose(
                    (self.word(), "# x", "a: b", "- a", "--- ", "\ttext")
                )
        return header + "\n" + "\n".join(line or "" for line in lines) + choose(("", "\n", "\n\n"))

    def properties(self) -> str:
        """Perhaps an anchor, perhaps a tag of a collection."""
        text = ""
        if self.random.random() < 0.15:
            self.anchors += 1
            text += f"&a{self.random.randint(1, self.anchors)} "
        if self.random.random() < 0.04:
            text += self.random.choice(TAGS)
        return text

    def alias(self) -> str:
        return f"*a{self.random.randint(1, max(1, self.anchors))}"

    def flow(self, depth: int) -> str:
        """A flow collection, with trailing commas, empty entries and JSON-like keys now and then."""
        pick = self.random.random
        separator = self.random.choice((", ", ",", ", ", " ,", ",\n  "))
        entries = []
        for _ in range(self.random.randint(0, 3)):
            if pick() < 0.08 and self.anchors:
                value = self.alias() + " "
            elif depth > 0 and pick() < 0.3:
                value = self.properties() + self.flow(depth - 1)
            else:
                value = self.scalar(2, flow=True)
            entries.append(value)
        tail = self.random.choice(("", "", "", ",", " "))
        if pick() < 0.5:
            return "[" + separator.join(entries) + tail + "]"
        pairs = []
        for entry in entries:
            if pick() < 0.1 and self.anchors:
                pairs.append(f"<<: {self.alias()} ")
            elif pick() < 0.1:
                pairs.append(self.scalar(key=True))
            else:
                pairs.append(self.scalar(key=True) + self.random.choice((": ", ": ", ":", " : ")) + entry)
        return "{" + separator.join(pairs) + tail + "}"

    def node(self, indent: int, depth: int) -> str:
        """A value that follows a key or an item's dash: on the same line, or on the next ones."""
        pick = self.random.random()
        if pick < 0.08 and self.anchors:
            return " " + self.alias() + "\n"
        if depth <= 0 or pick < 0.45:
            text = self.scalar(indent + 1)
            return " " + (self.properties() if self.random.random() < 0.2 else "") + text + self.comment() + "\n"
        if pick < 0.6:
            return " " + self.properties() + self.flow(2) + self.comment() + "\n"
        return (
            " "
            + self.properties()
            + self.comment()
            + "\n"
            + self.collection(indent + self.random.choice((1, 2, 2, 4)), depth - 1)
        )

    def comment(self) -> str:
        return self.random.choice(("", "", "", "", " # note", " #", "  "))

    def collection(self, indent: int, depth: int) -> str:
        """A block mapping or sequence whose lines begin at ``indent``."""
        pad = " " * indent
        lines = []
        keys: list[str] = []
        sequence = self.random.random() < 0.3
        for _ in range(self.random.randint(1, 4)):
            if self.random.random() < 0.05:
                lines.append(self.random.choice((pad + "# comment\n", "\n", "# far left\n", pad + "  \n")))
            if sequence:
                lines.append(pad + "-" + self.node(indent, depth))
                continue
            pick = self.random.random()
            if pick < 0.14:
                lines.append(pad + "<<:" + self.merge(indent, depth))
                continue
            key = self.random.choice(keys) if keys and pick < 0.25 else self.key()
            keys.append(key)
            if pick > 0.96:
                lines.append(pad + "? " + key + "\n" + pad + ":" + self.node(indent, depth))
            else:
                lines.append(pad + key + ":" + self.node(indent, depth))
        return "".join(lines)

    def key(self) -> str:
        pick = self.random.random()
        if pick < 0.6:
            return self.random.choice("abcdef")
        if pick < 0.63:
            return self.properties() + "k"
        return self.scalar(key=True)

    def merge(self, indent: int, depth: int) -> str:
        pick = self.random.random()
        if pick < 0.4 and self.anchors:
            return " " + self.alias() + "\n"
        if pick < 0.6:
            members = [
                self.alias() if self.anchors and self.random.random() < 0.6 else "{a: 1, b: 2}" for _ in range(2)
            ]
            return " [" + " , ".join(members) + " ]\n"
        if pick < 0.8:
            return " " + self.properties() + self.random.choice(("{a: 9}", "{c: 8, <<: {a: 7}}", "{}", "[]")) + "\n"
        return self.node(indent, depth)

    def document(self) -> str:
        """A document that mostly is well formed."""
        self.anchors = 0
        return self.collection(0, self.random.randint(0, 3))

    def soup(self) -> str:
        """Fragments of YAML in any order: mostly not well formed."""
        return "".join(self.random.choices(_FRAGMENTS, k=self.random.randint(1, 12)))

    def broken(self) -> str:
        """A document with a few characters removed, repeated or put in."""
        text = self.document()
        for _ in range(self.random.randint(1, 3)):
            at = self.random.randint(0, len(text))
            text = self.random.choice(
                (
                    text[:at] + text[at + 1 :],
                    text[:at] + self.random.choice(_FRAGMENTS) + text[at:],
                    text[:at] + text[max(0, at - 2) :],
                )
            )
        return text

    def single(self) -> str:
        """One scalar as the value of a key, as a key, as a list item and alone."""
        form: Callable[[str], str] = self.random.choice(
            (
                "a: {}\n".format,
                "{}: a\n".format,
                "- {}\n".format,
                "{}".format,
                "[{}]".format,
                "a: !!float {}".format,
                "a: !!int {}".format,
            )
        )
        return form(self.word())

    def text(self) -> str:
        """Any of the above, with any line ends."""
        maker = self.random.choices((self.single, self.document, self.broken, self.soup), weights=(3, 5, 2, 2))[0]
        text = maker()
        if self.random.random() < 0.1:
            text = text.replace("\n", self.random.choice(("\r\n", "\r", "\x85", "\u2028")))
        return text
