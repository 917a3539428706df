"""
Writes src/bnfold/report.py, the typed form of what bnfold reports, from the JSON schema that the command line is tested against:

    python scripts/make_types.py [--check]

Every object of the schema becomes a frozen dataclass; an object inside another is named after where it stands.
"""

import json
import keyword
import re
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = ROOT / "src" / "report" / "report.schema.json"
TARGET = ROOT / "python" / "src" / "bnfold" / "report.py"

HEAD = '''"""What bnfold reports, as data. Made by scripts/make_types.py from the schema of the JSON reports; edit that, not this."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Optional, Union

'''


def class_name(name: str) -> str:
    return name[0].upper() + name[1:]


def field_name(name: str) -> str:
    snake = re.sub(r"(?<=[a-z0-9])([A-Z])", lambda m: "_" + m[1].lower(), name).replace("-", "_")
    return f"{snake}_" if keyword.iskeyword(snake) else snake


def literal(value: object) -> str:
    return json.dumps(value) if isinstance(value, str) else repr(value)


class Writer:
    def __init__(self, schema: dict) -> None:
        self.defs = schema["$defs"]
        self.parts: list[str] = []
        self.done: set[str] = set()

    def all(self) -> str:
        for name in self.defs:
            self.define(name)
        return HEAD + "\n\n" + "\n\n\n".join(self.parts) + "\n"

    def define(self, name: str) -> str:
        """The Python type of a definition, written out once."""
        schema = self.defs[name]
        if name in ("number", "nonNegative"):
            return "float"
        title = class_name(name)
        if name not in self.done:
            self.done.add(name)
            if "properties" not in schema:
                self.parts.append(self.wrapped(f"{title} = {self.type_of(schema, title)}"))
            else:
                self.object(schema, title)
        return title

    def type_of(self, schema: dict, place: str) -> str:
        if "$ref" in schema:
            return self.define(schema["$ref"].rsplit("/", 1)[1])
        if "const" in schema:
            return f"Literal[{literal(schema['const'])}]"
        if "enum" in schema:
            return f"Literal[{', '.join(json.dumps(value) for value in schema['enum'])}]"
        if "anyOf" in schema:
            return self.union(schema["anyOf"], place)
        if "properties" in schema:
            self.object(schema, place)
            return place
        return self.plain(schema, place)

    def union(self, arms: list, place: str) -> str:
        several = sum("properties" in arm for arm in arms) > 1
        names = []
        for arm in arms:
            mark = arm.get("properties", {}).get("action", {}).get("const", "") if several else ""
            names.append(self.type_of(arm, place + class_name(mark) if mark else place))
        return f"Union[{', '.join(dict.fromkeys(names))}]"

    def plain(self, schema: dict, place: str) -> str:
        kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        names = [self.of_kind(kind, schema, place) for kind in kinds]
        return names[0] if len(names) == 1 else f"Union[{', '.join(names)}]"

    def of_kind(self, kind: str, schema: dict, place: str) -> str:
        if kind == "array" and "prefixItems" in schema:
            return f"tuple[{', '.join(self.type_of(item, place) for item in schema['prefixItems'])}]"
        if kind == "array":
            return f"tuple[{self.type_of(schema['items'], place + 'Item')}, ...]"
        if kind == "object":
            return f"dict[str, {self.type_of(schema['additionalProperties'], place + 'Value')}]"
        return {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}[kind]

    def object(self, schema: dict, title: str) -> None:
        required = set(schema["required"])
        lines = ["@dataclass(frozen=True)", f"class {title}:"]
        if "description" in schema:
            lines += self.comment(schema["description"])
        fields = sorted(schema["properties"].items(), key=lambda item: item[0] not in required)
        for name, inner in fields:
            what = self.type_of(inner, title + class_name(re.sub(r"-(.)", lambda m: m[1].upper(), name)))
            where = f"    {field_name(name)}: "
            lines.append(self.wrapped(where + (what if name in required else f"Optional[{what}] = None")))
            if "description" in inner:
                lines += self.comment(inner["description"])
        self.parts.append("\n".join(lines))

    @staticmethod
    def wrapped(line: str) -> str:
        """A list of words too long for a line, broken up."""
        if len(line) <= 118 or "Literal[" not in line:
            return line
        head, rest = line.split("Literal[", 1)
        words, tail = rest.split("]", 1)
        indent = " " * (len(head) - len(head.lstrip()) + 4)
        rows = textwrap.wrap(words, 118, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)
        return "\n".join([f"{head}Literal[", *rows, f"{indent[4:]}]{tail}"])

    @staticmethod
    def comment(text: str) -> list[str]:
        text = text.replace("\\", "\\\\").replace('"""', "'''")
        if text.startswith('"'):
            text = " " + text
        if text.endswith('"'):
            text += " "
        lines = textwrap.wrap(text, 112, drop_whitespace=False) if len(text) > 112 else [text]
        lines = [line.rstrip() if i else line for i, line in enumerate(lines)]
        if len(lines) == 1:
            return [f'    """{lines[0]}"""']
        return [f'    """{lines[0]}', *(f"    {line}" for line in lines[1:]), '    """']


def main() -> int:
    made = Writer(json.loads(SCHEMA.read_text(encoding="utf-8"))).all()
    if "--check" in sys.argv:
        same = TARGET.exists() and TARGET.read_text(encoding="utf-8") == made
        if not same:
            print(f"{TARGET.name} is not what the schema gives: run python scripts/make_types.py", file=sys.stderr)
        return 0 if same else 1
    TARGET.write_text(made, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
