"""The text of a YAML file as plain values, each with its line, and what is wrong with them."""

from __future__ import annotations

import difflib
import json
import re
from copy import deepcopy
from typing import TYPE_CHECKING, Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from clusterctl.model.errors import InputError, Problem
from clusterctl.model.names import choices, plain, shown

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from pydantic_core import ErrorDetails

LARGEST = 1024 * 1024
DEEPEST = 16

Path = tuple[str | int, ...]
Model = TypeVar("Model", bound=BaseModel)

_CORE = "tag:yaml.org,2002:"
_KINDS = {"map": "a mapping", "seq": "a list"}

# What YAML 1.1 and 1.2 read alike. Anything else that one of them takes for more than text is refused.
_PLAIN = {
    "null": "|~|null",
    "bool": "true|false",
    "int": "-?(?:0|[1-9][0-9]{0,17})",
    "float": r"-?(?:0|[1-9][0-9]{0,17})\.[0-9]{1,18}",
}
_READ_AS = {
    "null": "an empty value",
    "bool": "true or false",
    "int": "a number",
    "float": "a number",
    "timestamp": "a date",
}

_REFERENCE = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>.*))?")

# pydantic's types of errors.
_NEEDS = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "tuple_type": "a list, such as [a, b]",
    "list_type": "a list, such as [a, b]",
    "dict_type": "a mapping, lines of key: value",
    "model_type": "a mapping, lines of key: value",
}


class Document:
    """One file: its values, the line of each, and every problem found in it so far.

    texts: how the values that are no text were written; 3.20 is more than the number 3.2.
    """

    def __init__(self, file: str) -> None:
        self.file = file
        self.value: dict[str, Any] = {}
        self.lines: dict[Path, int] = {(): 1}
        self.texts: dict[Path, str] = {}
        self._problems: dict[Path, list[Problem]] = {}

    def add(self, path: Path, message: str, allowed: str = "", line: int = 0) -> None:
        """Note a problem at a place; the line is that of the place, or of what it would be part of."""
        known = path
        while known not in self.lines:
            known = known[:-1]
        problem = Problem(self.file, line or self.lines[known], _dotted(path), message, allowed)
        noted = self._problems.setdefault(path, [])
        if problem not in noted:
            noted.append(problem)

    def sound(self, *path: str | int) -> bool:
        """Return whether there is no problem at this place or inside it."""
        return not any(p[: len(path)] == path for p in self._problems)

    def names(self, key: str) -> tuple[str, ...]:
        """Return the keys of the mapping under a key of the file, those with problems among them."""
        found = self.value.get(key)
        return tuple(found) if isinstance(found, dict) else ()

    def find(self, text: str, at: Path) -> Path:
        """Return the first place at or below `at` where this text stands; `at` where it does not."""
        value: Any = self.value
        for part in at:
            value = value[part]
        return next((at + path for path in _places(text, value)), at)

    def expand(self, environ: Mapping[str, str], *, numbers: Collection[str], never: Collection[str]) -> None:
        """Put the environment's values where ${NAME} or ${NAME:-default} stands in a text; $$ is one $.

        Only values change, and only after YAML was read: what comes in can never be a key or a second value.
        numbers: keys whose text becomes a number where it is one. never: keys whose values stay as they are.
        """
        self.value = self._expanded(self.value, (), environ, numbers, never)

    def _expanded(
        self, value: Any, at: Path, environ: Mapping[str, str], numbers: Collection[str], never: Collection[str]
    ) -> Any:
        if isinstance(value, dict):
            return {
                k: v if k in never else self._expanded(v, (*at, k), environ, numbers, never) for k, v in value.items()
            }
        if isinstance(value, list):
            return [self._expanded(v, (*at, i), environ, numbers, never) for i, v in enumerate(value)]
        if not isinstance(value, str) or "$" not in value:
            return value

        def put(found: re.Match[str]) -> str:
            inner = found[1]
            if inner is None:
                return "$"
            parts = _REFERENCE.fullmatch(inner)
            if parts is None:
                self.add(at, f"{shown(found[0])} is not ${{NAME}} or ${{NAME:-default}}")
                return found[0]
            known = environ.get(parts["name"])
            if parts["default"] is not None:
                return known or parts["default"]
            if known is None:
                name = parts["name"]
                self.add(at, f"the environment variable {name} is not set (${{{name}:-…}} would give a default)")
                return found[0]
            return known

        text = re.sub(r"\$(?:\$|\{([^}]*)\})", put, value)
        _check_printable(text, at, self)
        if at and at[-1] in numbers and re.fullmatch(_PLAIN["int"], text):
            self.texts[at] = text
            return int(text)
        return text

    def finish(self) -> None:
        """Raise InputError with every problem, from top to bottom, if there is one."""
        found = [p for problems in self._problems.values() for p in problems]
        if found:
            raise InputError(sorted(found, key=lambda p: p.line))

    def read(self, model: type[Model], value: Any, at: Path = ()) -> tuple[Model | None, list[Path]]:
        """Validate the value at a place. Returns the model, or None and the places with problems."""
        try:
            # Through JSON, where a strict model takes a list for a tuple and text for an enum.
            return model.model_validate_json(json.dumps(value), strict=True), []
        except ValidationError as error:
            found = error.errors(include_url=False)
        places = [_place(value, detail) for detail in found]
        told = set(self._problems)
        for path, detail in zip(places, found, strict=True):
            # What YAML itself got wrong is not told a second time.
            if at + path not in told:
                self.add(at + path, *_explain(model, path, detail, self.texts.get(at + path, "")))
        return None, places

    def salvage(self, model: type[Model], spare: Mapping[str, Any]) -> Model:
        """Validate the whole file, leaving out what is wrong, so that the rest is checked as well.

        spare: values for the keys that the model cannot do without.
        """
        value = deepcopy(self.value)
        while True:
            found, places = self.read(model, value)
            if found is not None:
                return found
            if () in places:
                self.finish()
            for top, *rest in dict.fromkeys(path[:2] for path in places):
                part = value.get(str(top))
                if rest and isinstance(part, dict) and rest[0] in part:
                    del part[str(rest[0])]
                    continue
                value.pop(str(top), None)
                if top in spare:
                    value[str(top)] = spare[str(top)]


def parse(text: str, file: str) -> Document:
    """Read YAML. Raises InputError where there are no values to go on with; lesser problems are noted."""

    def no_values(message: str, line: int = 0) -> InputError:
        return InputError([Problem(file, line, "", message)])

    if len(text.encode(errors="surrogatepass")) > LARGEST:
        raise no_values("is larger than 1 MiB")
    try:
        node, refused = _compose(text)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        character = plain(chr(error.character))
        raise no_values(f"has a character that YAML forbids: {character}", line) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        message = ", ".join(part for part in (error.context, error.problem) if part)
        raise no_values(f"cannot be read: {message}", mark.line + 1 if mark else 0) from None
    if node is None:
        raise no_values("is empty")
    if not isinstance(node, yaml.MappingNode):
        raise no_values("must be a mapping, lines of key: value", node.start_mark.line + 1)
    document = Document(file)
    document.value = _value(node, (), document, refused)
    return document


def meant(word: str, known: Iterable[str]) -> str:
    """Return "; did you mean …?" for a word that is close to a known one, else ""."""
    close = difflib.get_close_matches(word, list(known), 1)
    return f"; did you mean {shown(close[0])}?" if close else ""


class _Loader(yaml.SafeLoader):
    """Composes nodes, remembers which have what no file needs, and stops where nesting is too deep."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.refused: dict[int, str] = {}
        self.depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        mark = event.start_mark
        if isinstance(event, yaml.AliasEvent):
            self.get_event()  # type: ignore[no-untyped-call]
            node: yaml.Node | None = yaml.ScalarNode(f"{_CORE}null", "", mark, mark)
            self.refused[id(node)] = f"the alias *{event.anchor} is not taken: write the value out"
            return node
        self.depth += 1
        if self.depth > DEEPEST:
            raise yaml.composer.ComposerError(None, None, "nested too deeply", mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        tag = (event.tag or "").replace(_CORE, "!!")
        if event.anchor:
            self.refused[id(node)] = f"the anchor &{event.anchor} is not taken: write the value out where it is needed"
        elif tag and tag.removeprefix("!!") not in {"str", *_PLAIN, *_KINDS}:
            self.refused[id(node)] = f"the tag {shown(tag)} is not taken"
        return node


# Numbers to YAML 1.2 only.
_Loader.add_implicit_resolver(
    f"{_CORE}float",
    re.compile(r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)[eE][-+]?[0-9]+|0o[0-7]+)$"),
    list("-+.0123456789"),
)


def _compose(text: str) -> tuple[yaml.Node | None, Mapping[int, str]]:
    loader = _Loader(text)
    try:
        return loader.get_single_node(), loader.refused
    except (ValueError, OverflowError):
        # "\\UFFFFFFFF", or a number of thousands of digits in a directive.
        mark = loader.get_mark()
        raise yaml.MarkedYAMLError(None, None, "an escape or a number stands for nothing", mark) from None
    finally:
        loader.dispose()


def _value(node: yaml.Node, path: Path, document: Document, refused: Mapping[int, str]) -> Any:
    line = node.start_mark.line + 1
    document.lines.setdefault(path, line)
    if id(node) in refused:
        document.add(path, refused[id(node)], line=line)
    kind = node.tag.removeprefix(_CORE)
    if isinstance(node, yaml.MappingNode):
        _same(kind, "map", path, document)
        return _mapping(node, path, document, refused)
    if isinstance(node, yaml.SequenceNode):
        _same(kind, "seq", path, document)
        return [_value(item, (*path, i), document, refused) for i, item in enumerate(node.value)]
    return _scalar(kind, node.value, path, document)


def _scalar(kind: str, text: str, path: Path, document: Document) -> Any:
    _same(kind, "str", path, document)
    if kind in _PLAIN and re.fullmatch(_PLAIN[kind], text):
        document.texts[path] = text
        return json.loads(text if text not in {"", "~"} else "null")
    if kind in {*_READ_AS, "merge", "value"}:
        plainly = {"bool": "true or false", "int": "a plain number", "float": "a plain number"}.get(kind, "")
        document.add(
            path,
            f"{shown(text)} is {_READ_AS.get(kind, 'a sign')} to some readers of YAML only: write "
            + (f"{plainly} or, for the text, " if plainly else "")
            + f'"{plain(text)}"',
        )
    _check_printable(text, path, document)
    return text


def _same(kind: str, is_: str, path: Path, document: Document) -> None:
    if kind != is_ and (kind in _KINDS or (is_ in _KINDS and kind in {"str", *_PLAIN})):
        document.add(path, f"the tag !!{kind} does not fit: this is {_KINDS.get(is_, 'text')}")


def _mapping(node: yaml.MappingNode, path: Path, document: Document, refused: Mapping[int, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        key = key_node.value
        if not isinstance(key_node, yaml.ScalarNode):
            document.add(path, "a key must be text, not a list or a mapping", line=line)
            continue
        here = (*path, key)
        if key in values:
            document.add(here, f"is written twice, first in line {document.lines[here]}", line=line)
            continue
        document.lines[here] = line
        kind = key_node.tag.removeprefix(_CORE)
        if id(key_node) in refused:
            document.add(here, refused[id(key_node)])
        # `on` and `yes` are keys as they are written; a number or `true` is text to no reader of YAML.
        elif kind in _PLAIN and (kind != "bool" or re.fullmatch(_PLAIN[kind], key)):
            document.add(here, f"{shown(key)} is {_READ_AS[kind]} to YAML: write the key in quotes")
        _check_printable(key, here, document)
        values[key] = _value(value_node, here, document, refused)
    return values


def _check_printable(text: str, path: Path, document: Document) -> None:
    bad = next((c for c in text if not c.isprintable()), None)
    if bad is not None:
        what = "a line break" if bad in "\r\n" else f"the character {plain(bad)}"
        document.add(path, f"has {what} in it, which no text may have")


def _dotted(path: Path) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{plain(part)}" for part in path)
    return text.removeprefix(".")


def _place(value: Any, detail: ErrorDetails) -> Path:
    """Return where the error is in the value: pydantic's own marks for keys and unions are left out."""
    path: list[str | int] = []
    for part in detail["loc"]:
        inside = isinstance(value, dict) and part in value
        inside = inside or (isinstance(value, list) and isinstance(part, int) and part < len(value))
        if inside:
            path.append(part)
            value = value[part]
    if detail["type"] == "missing":
        path.append(detail["loc"][-1])
    return tuple(path)


def _places(text: str, value: Any) -> Iterator[Path]:
    if value == text:
        yield ()
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for part, below in inner:
        yield from ((part, *path) for path in _places(text, below))


def _explain(model: type[BaseModel], path: Path, detail: ErrorDetails, text: str) -> tuple[str, str]:
    """Return an error of pydantic's as a message and what is allowed."""
    kind, given, context = detail["type"], detail["input"], detail.get("ctx", {})
    allowed = ""
    match kind:
        case "wrong":
            message, allowed = str(context["message"]), str(context["allowed"])
        case "missing":
            message = "is missing"
        case "extra_forbidden":
            known = _keys(model, path[:-1])
            message, allowed = f"is not a known key{meant(str(path[-1]), known)}", choices(known)
        case "enum" | "literal_error":
            known = [word for word in re.findall("'([^']*)'", str(context["expected"])) if word]
            message, allowed = f"{_given(given)} is not known{meant(str(given), known)}", choices(known)
        case "greater_than_equal" | "less_than_equal" | "greater_than" | "less_than":
            message = f"{given} is out of range: {detail['msg'].replace('Input should be', 'must be')}"
        case "string_type" if isinstance(given, int | float):
            read_as = _READ_AS["bool" if isinstance(given, bool) else "int"]
            message = f'{text} is {read_as} to YAML: write "{text}"'
        case "int_type" | "float_type" | "bool_type" if isinstance(given, str):
            message = f"{shown(given)} is text: must be {_NEEDS[kind]}, without quotes"
        case _ if kind in _NEEDS:
            message = f"must be {_NEEDS[kind]}, not {_given(given)}"
        case _:
            message = str(context.get("error", detail["msg"]))
    return message, allowed


def _given(value: Any) -> str:
    match value:
        case None:
            return "an empty value"
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case bool() | int() | float():
            return json.dumps(value)
        case _:
            return shown(value)


def _keys(model: type[BaseModel], path: Path) -> list[str]:
    """Return the keys that may stand at a place, from the schema."""
    schema = model.model_json_schema()
    definitions = schema.get("$defs", {})

    def flat(node: Any) -> Iterator[dict[str, Any]]:
        if not isinstance(node, dict):
            return
        if "$ref" in node:
            yield from flat(definitions[node["$ref"].rpartition("/")[2]])
        for choice in (*node.get("anyOf", ()), *node.get("oneOf", ()), *node.get("allOf", ())):
            yield from flat(choice)
        yield node

    def below(node: dict[str, Any], part: str | int) -> Iterator[Any]:
        if part in node.get("properties", {}):
            yield node["properties"][part]
            return
        yield node.get("items") if isinstance(part, int) else node.get("additionalProperties")
        yield from node.get("patternProperties", {}).values()

    nodes = list(flat(schema))
    for part in path:
        nodes = [inner for node in nodes for child in below(node, part) for inner in flat(child)]
    return list(dict.fromkeys(key for node in nodes for key in node.get("properties", {})))
