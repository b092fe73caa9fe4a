"""The kinds of text and numbers that users write: names, addresses, subnets, ports, references.

Each is checked before anything is touched, so that no value can be taken for an option, a second
command or a second line wherever it ends up.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema, WrapValidator
from pydantic_core import PydanticCustomError, core_schema

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidatorFunctionWrapHandler

ALL = "all"
"""Stands for every container, network or host; so nothing may be called that."""

LONGEST_SHOWN = 60

Item = TypeVar("Item")


class Value(BaseModel):
    """A model that does not change and takes no key that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def plain(value: object) -> str:
    """Return a value for a message: escaped where it would not print, cut where it is long."""
    text = str(value)
    if not text.isprintable():
        text = ascii(text)[1:-1]
    return f"{text[:LONGEST_SHOWN]}…" if len(text) > LONGEST_SHOWN else text


def shown(value: object) -> str:
    """Return a value for a message, in quotes."""
    return f"'{plain(value)}'"


def choices(words: Iterable[object]) -> str:
    """Return words for a message, as a list of what is allowed."""
    return ", ".join(plain(word) for word in words)


def wrong(message: str, allowed: str = "") -> PydanticCustomError:
    """Return the error for a validator to raise: what is wrong, and what is allowed."""
    return PydanticCustomError("wrong", "{message}", {"message": message, "allowed": allowed})


@dataclass(frozen=True, slots=True)
class Shape:
    """Text of one pattern, as an annotation.

    what: what the text is meant to be, with its article. allowed: the pattern in words.
    never: words of that pattern that are refused, since they mean something else.
    """

    what: str
    pattern: str
    allowed: str
    longest: int
    never: tuple[str, ...] = ()

    def check(self, text: str) -> str:
        """Return the text, or raise with what is allowed."""
        if len(text) > self.longest:
            raise wrong(f"{shown(text)} is too long for {self.what}", f"{self.longest} characters")
        if not re.fullmatch(self.pattern, text):
            raise wrong(f"{shown(text)} is not {self.what}", self.allowed)
        if text in self.never:
            raise wrong(f"{shown(text)} cannot be {self.what}: the word has a meaning of its own")
        return text

    def __get_pydantic_core_schema__(self, source: type[Any], handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {**handler(schema), "pattern": f"^(?:{self.pattern})$", "maxLength": self.longest}


def _or_empty(value: Any, inner: ValidatorFunctionWrapHandler) -> Any:
    return value if value == "" else inner(value)


OrEmpty = WrapValidator(_or_empty)
"""Lets "" through: there is none."""


def _listed(values: tuple[Item, ...]) -> tuple[Item, ...]:
    if not values:
        raise wrong("must have at least one in it")
    for value in values:
        if values.count(value) > 1:
            raise wrong(f"{shown(value)} is listed twice")
    return values


class _Listed:
    def __get_pydantic_core_schema__(self, source: type[Any], handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(_listed, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {**handler(schema), "minItems": 1, "uniqueItems": True}


Listed = _Listed()
"""A list that is not empty and names nothing twice, as an annotation."""


def _ipv4(text: str) -> str:
    try:
        address = ipaddress.IPv4Address(text)
    except ValueError:
        raise wrong(f"{shown(text)} is not an IPv4 address", "four numbers from 0 to 255, such as 10.1.1.1") from None
    kinds = {
        "a multicast address": address.is_multicast,
        "a reserved address": address.is_reserved or address.packed[0] == 0,
    }
    for kind, applies in kinds.items():
        if applies:
            raise wrong(f"{shown(text)} is {kind}, no host can have it")
    return text


def _not_loopback(text: str) -> str:
    if ipaddress.IPv4Address(text).is_loopback:
        raise wrong(f"{shown(text)} is a loopback address, other hosts cannot reach it")
    return text


def as_ipv4(text: str) -> ipaddress.IPv4Address | None:
    """Return the text as an IPv4 address, None where it is not one."""
    try:
        return ipaddress.IPv4Address(text)
    except ValueError:
        return None


_LABEL = "[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"

_DNS_NAME = Shape(
    "an IPv4 address or a DNS name",
    rf"{_LABEL}(?:\.{_LABEL})*",
    "such as 10.1.1.1 or docker1.example.org, in lower case",
    253,
)


def _address(text: str) -> str:
    # What the C library would read as a number (127.1, 0x7f000001) must not pass for a name.
    if re.fullmatch(r"[0-9.]+", text) or re.match(r"0x|.*\.(0x)?[0-9]+$", text):
        return _ipv4(text)
    if any(len(label) > 63 for label in text.split(".")):
        raise wrong(f"{shown(text)} has a label that is too long for a DNS name", "63 characters")
    return _DNS_NAME.check(text)


def check_subnet(text: str) -> str:
    """Return the text where it is an IPv4 subnet for hosts, or raise with what is allowed."""
    if not re.fullmatch(r"[0-9.]+/[0-9]+", text):
        raise wrong(f"{shown(text)} is not an IPv4 subnet", "address/prefix, such as 10.10.10.0/24")
    try:
        network = ipaddress.IPv4Network(text, strict=False)
    except ValueError:
        raise wrong(f"{shown(text)} is not an IPv4 subnet", "address/prefix, such as 10.10.10.0/24") from None
    if str(network.network_address) != text.partition("/")[0]:
        raise wrong(f"{shown(text)} is an address inside a subnet; the subnet is {network}")
    if not 8 <= network.prefixlen <= 30:
        raise wrong(f"{shown(text)} has an unfit size", "prefixes from /8 to /30")
    if network.is_multicast or network.is_loopback or network.is_reserved or network.network_address.packed[0] == 0:
        raise wrong(f"{shown(text)} is set aside for other things, no host can have an address in it")
    return text


def inside(address: str, subnet: str) -> str:
    """Return why a host cannot have this address in this subnet, "" where it can."""
    network, ip = ipaddress.IPv4Network(subnet), ipaddress.IPv4Address(address)
    if ip not in network:
        return f"{shown(address)} is not in {subnet}"
    if ip == network.network_address:
        return f"{shown(address)} is the network address of {subnet}"
    if ip == network.broadcast_address:
        return f"{shown(address)} is the broadcast address of {subnet}"
    return ""


def familiar(reference: str) -> str:
    """Return an image's name as Docker lists it: a tag always, the default registry never."""
    if reference.startswith("docker.io/"):
        reference = reference.removeprefix("docker.io/").removeprefix("library/")
    last = reference.rpartition("/")[2]
    return reference if ":" in last or "@" in last else f"{reference}:latest"


_PART = "[a-z0-9]+(?:(?:[.]|_{1,2}|-+)[a-z0-9]+)*"
_REGISTRY = "[a-z0-9][a-z0-9.-]*(?::[0-9]{1,5})?"
_TAG = rf"(?:{_REGISTRY}/)?{_PART}(?:/{_PART})*(?::[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}})?"
_PATH = r"""[^-\s"'\\$%`][^"'\\$%`]*"""

HostName = Annotated[
    str,
    Shape(
        "a host name",
        # A name that is a number is an address to the C library.
        rf"(?![0-9]+$|0x){_LABEL}",
        "lower case letters, digits and '-' between them; not a number",
        63,
        (ALL, "localhost"),
    ),
]
LabName = Annotated[str, Shape("the name of a lab", _LABEL, "lower case letters, digits and '-' between them", 20)]
LessonName = Annotated[
    str, Shape("the name of a playbook", _LABEL, "lower case letters, digits and '-' between them", 63)
]
# Docker refuses a container's name of one character.
DockerName = Annotated[
    str,
    Shape(
        "a name for a container",
        "[a-zA-Z0-9][a-zA-Z0-9_.-]+",
        "two or more letters, digits, '_', '.' and '-', a letter or digit first",
        63,
        (ALL,),
    ),
]
NetworkName = Annotated[
    str,
    Shape(
        "a name for a network",
        "[a-zA-Z0-9][a-zA-Z0-9_.-]+",
        "two or more letters, digits, '_', '.' and '-', a letter or digit first",
        63,
        (ALL, "bridge", "host", "none", "ingress", "docker_gwbridge"),
    ),
]
# One of the playbook's, or Docker's default bridge.
AnyNetworkName = Annotated[
    str,
    Shape(
        "the name of a network",
        "[a-zA-Z0-9][a-zA-Z0-9_.-]+",
        "two or more letters, digits, '_', '.' and '-', a letter or digit first",
        63,
        (ALL, "host", "none"),
    ),
]
NetworkMode = Annotated[
    str,
    Shape(
        "a network mode",
        "bridge|host|none|container:[a-zA-Z0-9][a-zA-Z0-9_.-]+",
        "bridge, host, none, container:NAME",
        73,
    ),
]
Link = Annotated[
    str,
    Shape(
        "a link",
        "[a-zA-Z0-9][a-zA-Z0-9_.-]+(?::[a-zA-Z0-9][a-zA-Z0-9_.-]+)?",
        "CONTAINER, or CONTAINER:NAME where it is to be known by another name",
        127,
    ),
]
OptionName = Annotated[
    str,
    Shape(
        "the name of an option",
        "[a-zA-Z0-9][a-zA-Z0-9_.-]*",
        "letters, digits, '_', '.' and '-', a letter or digit first",
        128,
    ),
]
Capability = Annotated[
    str, Shape("a capability", "[A-Z][A-Z_]+", "capital letters and '_', such as NET_ADMIN; see capabilities(7)", 32)
]
UserName = Annotated[
    str,
    Shape(
        "a user name",
        "[A-Za-z_][A-Za-z0-9_.-]*",
        "letters, digits, '_', '.' and '-', a letter or '_' first",
        32,
    ),
]
Suite = Annotated[str, Shape("a Debian suite", "[a-z][a-z0-9-]*", "such as bookworm", 32)]
FilePath = Annotated[
    str,
    Shape("a path", _PATH, "no quotes, none of $ % ` \\, no '-' or space first", 1024),
]
Url = Annotated[
    str,
    Shape(
        "the address of a file",
        r"https?://[A-Za-z0-9.-]+(?::[0-9]{1,5})?/[A-Za-z0-9._~/%+,=@?&-]*",
        "http:// or https://, a host and a path, without a password",
        2048,
    ),
]
Sha256 = Annotated[str, Shape("a SHA-256 checksum", "[0-9a-f]{64}", "64 digits of 0-9 and a-f", 64)]
_PORT = "(?:[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
Publish = Annotated[
    str,
    Shape("a pair of ports", f"{_PORT}:{_PORT}", 'HOST:CONTAINER, each from 1 to 65535, such as "8080:80"', 11),
]
ImageTag = Annotated[
    str,
    Shape("an image", _TAG, "such as alpine:3.20 or registry.example.org/team/web:1", 255),
    AfterValidator(familiar),
]
ImageReference = Annotated[
    str,
    Shape(
        "an image in a registry",
        rf"{_TAG}(?:@sha256:[0-9a-f]{{64}})?",
        "such as alpine:3.20 or registry.example.org/team/web:1",
        330,
    ),
    AfterValidator(familiar),
]
IPv4 = Annotated[
    str,
    AfterValidator(_ipv4),
    AfterValidator(_not_loopback),
    WithJsonSchema({"type": "string", "format": "ipv4"}),
]
Address = Annotated[str, AfterValidator(_address), WithJsonSchema({"type": "string", "maxLength": 253})]
Subnet = Annotated[
    str,
    AfterValidator(check_subnet),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]+(?:\\.[0-9]+){3}/[0-9]+$"}),
]
Port = Annotated[int, Field(ge=1, le=65535)]
