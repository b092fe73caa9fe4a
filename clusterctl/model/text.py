"""Words for learners, in the languages that they read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pydantic import Field, field_validator, model_validator

from clusterctl.model.lang import Lang
from clusterctl.model.names import Value, wrong

if TYPE_CHECKING:
    from pydantic import GetJsonSchemaHandler
    from pydantic_core import core_schema


_WIDE = "\u2e80-\u9fff\uff00-\uffef\u3000-\u303f\u2018-\u201d\u2014\u2026"
# Text that is folded over lines gets a space at each break, which Chinese does not know.
_BREAK = re.compile(f"(?<=[{_WIDE}]) (?=[{_WIDE}])")


class Text(Value):
    """One text in each language; written plainly it stands for all of them."""

    en: str = Field(default="", description="In English.")
    zh: str = Field(default="", description="In Chinese; the English text stands in where it is missing.")

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, value: Any) -> Any:
        if not isinstance(value, str | dict):
            raise wrong("must be text, or a text in each language", "en, zh")
        return {"en": value} if isinstance(value, str) else value

    @field_validator("zh")
    @classmethod
    def _unbroken(cls, text: str) -> str:
        return _BREAK.sub("", text)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"anyOf": [{"type": "string"}, handler.resolve_ref_schema(handler(schema))]}

    def to(self, lang: Lang) -> str:
        """Return the text in a language, in English where it does not have that one."""
        return (self.zh if lang is Lang.ZH else "") or self.en

    def __str__(self) -> str:
        return self.en

    def __bool__(self) -> bool:
        return bool(self.en or self.zh)


NO_TEXT = Text()
