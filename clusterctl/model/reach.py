"""How hosts are reached, as the user wrote it: users, keys, jump hosts, and where secrets come from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, TypeAdapter, ValidationError, WithJsonSchema

from clusterctl.model.names import Address, FilePath, OrEmpty, Port, UserName, Value, shown, wrong

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clusterctl.model.source import Document

SECRET = re.compile(r"(?:\w+_)?(?:pass|password|passphrase)")
"""Keys under which somebody would write a secret itself."""

FOR_SECRETS = ("password_env", "passphrase_env", "sudo_password_env")

_ENV = "[A-Z_][A-Z0-9_]*"
_HOP = re.compile(r"(?:(?P<user>[^@]+)@)?(?P<address>[^@:]+)(?::(?P<port>[0-9]{1,5}))?")


def _env_name(text: str) -> str:
    # The text is not shown: it may be the secret itself.
    if not re.fullmatch(_ENV, text) or len(text) > 128:
        raise wrong(
            "must be the NAME of an environment variable that holds the secret, not the secret",
            "capital letters, digits and '_', such as LAB_PASSWORD",
        )
    return text


EnvName = Annotated[str, AfterValidator(_env_name), WithJsonSchema({"type": "string", "pattern": f"^{_ENV}$"})]


@dataclass(frozen=True, slots=True)
class Hop:
    """A jump host as it is written in one word; user and port where they are given."""

    address: str
    user: str = ""
    port: int = 0


def hop(text: str) -> Hop:
    """Return `[user@]address[:port]` in its parts. Raises ValueError."""
    found = _HOP.fullmatch(text)
    if found is None:
        raise ValueError(f"{shown(text)} is not a jump host")
    try:
        TypeAdapter(Address).validate_python(found["address"])
        if found["user"] is not None:
            TypeAdapter(UserName).validate_python(found["user"])
        port = int(found["port"] or 22)
        TypeAdapter(Port).validate_python(port)
    except ValidationError as error:
        told = error.errors()[0]
        what = told["msg"] if told["type"] == "wrong" else f"port {port} is out of range"
        raise ValueError(what) from None
    return Hop(found["address"], found["user"] or "", port if found["port"] else 0)


def _hop(text: str) -> str:
    try:
        hop(text)
    except ValueError as error:
        raise wrong(
            str(error), "user@address:port, user and port only where needed; or a name in hosts or jump_hosts"
        ) from None
    return text


def _several(value: Any) -> Any:
    """One word stands for a list of one."""
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value


_WORD = {"type": "string", "maxLength": 300}
Jump = Annotated[
    tuple[Annotated[str, AfterValidator(_hop), WithJsonSchema(_WORD)], ...],
    BeforeValidator(_several),
    WithJsonSchema({"anyOf": [_WORD, {"type": "array", "items": _WORD}]}),
]


class Reach(Value):
    """What every machine that SSH logs in to may say."""

    port: Port = Field(default=22, description="The port of the SSH server.")
    user: UserName = Field(default="root", description="Who logs in: root, or someone who may use sudo.")
    key: Annotated[FilePath, OrEmpty] = Field(
        default="", description="The private key's path; without it, the agent's keys and what SSH finds by itself."
    )
    passphrase_env: Annotated[EnvName, OrEmpty] = Field(
        default="", description="The environment variable that holds the key's passphrase."
    )
    password_env: Annotated[EnvName, OrEmpty] = Field(
        default="", description="The environment variable that holds the password to log in with."
    )
    jump: Jump = Field(
        default=(),
        description="The jump host, or several in order: user@address:port, or a name in `hosts` or `jump_hosts`.",
    )


class JumpHost(Reach):
    """A machine on the way to hosts, which is none of them."""

    address: Address = Field(description="Where SSH reaches it: an IPv4 address or a DNS name.")


def check_secrets(document: Document) -> None:
    """Refuse secrets that are written into the file; they are not shown."""
    places: list[tuple[str, ...]] = [("defaults",)]
    places += [(top, name) for top in ("hosts", "groups", "jump_hosts") for name in document.names(top)]
    for place in places:
        value: Any = document.value
        for part in place:
            value = value.get(part) if isinstance(value, dict) else None
        for key in value if isinstance(value, dict) else ():
            if not isinstance(key, str) or not SECRET.fullmatch(key):
                continue
            wanted = next((k for k in FOR_SECRETS if k.startswith(key.replace("pass_", ""))), "password_env")
            if "sudo" in key or "become" in key:
                wanted = "sudo_password_env"
            document.add(
                (*place, key),
                f"a secret does not belong into a file: put it into an environment variable and name that here "
                f"({wanted}: LAB_SECRET), or leave it out and be asked (--ask-password, --ask-sudo-password)",
            )


def check_ways(jumps: Mapping[str, Mapping[str, tuple[str, ...]]], document: Document) -> None:
    """Refuse ways that lead back to where they come from. `jumps`: what hosts and jump_hosts go through."""
    for name in jumps["jump_hosts"].keys() & jumps["hosts"].keys():
        document.add(("jump_hosts", name), "is the name of a host: a host can be a jump host as it is")
    first = {name: jump[0] for part in jumps.values() for name, jump in part.items() if jump}
    for top, part in jumps.items():
        for name, jump in part.items():
            if name in jump:
                document.add((top, name, "jump"), f"{name} cannot be on the way to itself")
                continue
            seen, at = [name], first.get(name, "")
            while at in first and at not in seen:
                seen.append(at)
                at = first[at]
            if at == name:
                document.add((top, name, "jump"), f"the way to {name} leads through itself: {' ← '.join([*seen, at])}")
