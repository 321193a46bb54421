"""Encodes and decodes instances of LangChain's pydantic models, field by field."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .dispatch import dec, enc
from .fault import Fault
from .strings import survives_json


class Model:
    """One class: its fields in the order of its documents, and the shapes they must have."""

    def __init__(
        self, cls: Any, shared: tuple[str, ...], shapes: dict[str, Callable[[Any], bool]]
    ) -> None:
        """Extra attributes follow the fields in `shared`; `shapes` checks the values of fields."""
        self.cls = cls
        self.tag: str = cls.__name__
        self.fields = cls.model_fields
        self.takes_extra = cls.model_config.get("extra") == "allow"
        after = [name for name in self.fields if self.takes_extra and name not in shared]
        self.head = tuple(name for name in self.fields if name not in after)
        self.tail = tuple(after)
        self.names = self.head + self.tail
        self.shapes = [(name, shapes[name]) for name in self.names if name in shapes]
        default = self.fields["type"].default if "type" in self.fields else None
        self.type: str | None = default if isinstance(default, str) else None

    def encode(self, value: Any, depth: int) -> Any:
        """The document of an instance. Raises Fault if a field does not have its shape.

        Not from `model_dump()`, which turns nested objects into dicts, and refuses or flattens
        types that its serialisers do not know (a DataFrame as `artifact`).
        """
        fields, extra = value.__dict__, value.__pydantic_extra__
        self._check(fields)
        body: dict[str, Any] = {}
        depth += 1
        _encode_into(body, fields, self.head, depth)
        if extra:
            if not all(map(survives_json, extra)):
                raise Fault("the name of an extra attribute is not valid text", self.tag)
            _encode_into(body, extra, tuple(extra), depth)
        _encode_into(body, fields, self.tail, depth)
        return {"_type": self.tag, "_value": body}

    def decode(self, body: Any, depth: int) -> Any:
        """The instance of a document's `_value`. Raises Fault if a field does not have its shape.

        Restores the state as pydantic's pickling does, without validation. Validators take time and
        change values: they rebuild tool calls from `additional_kwargs`, and turn numbers into text.
        Every field in the document counts as set.
        """
        if type(body) is not dict:
            raise Fault(f"the value of a {self.tag} must be an object", self.tag)
        depth += 1
        fields: dict[str, Any] = {}
        for name in self.names:
            if name in body:
                item = body[name]
                plain = item is None or type(item) is str
                fields[name] = item if plain else _decode_field(item, name, depth)
            elif self.fields[name].is_required():
                raise Fault(f"a {self.tag} needs the field {name}", self.tag)
            else:
                # The writer's version of LangChain did not have this field.
                fields[name] = self.fields[name].get_default(call_default_factory=True)
        extra: dict[str, Any] | None = {} if self.takes_extra else None
        for name in body:
            if name not in fields:
                if extra is None:
                    raise Fault(f"{self.tag} has no field {name!r:.80} in this LangChain", self.tag)
                extra[name] = _decode_field(body[name], name, depth)
        self._check(fields)
        value = self.cls.__new__(self.cls)
        value.__setstate__(
            {
                "__dict__": fields,
                "__pydantic_fields_set__": set(body),
                "__pydantic_extra__": extra,
                "__pydantic_private__": None,
            }
        )
        return value

    def _check(self, fields: dict[str, Any]) -> None:
        """Refuse a wrong field, in both directions, so that what is written is readable."""
        # In a prompt, a HumanMessage with the type "ai" would become the model's own words.
        if self.type is not None and fields.get("type") != self.type:
            raise Fault(f"the type of a {self.tag} must be {self.type!r}", self.tag).at_key("type")
        for name, fits in self.shapes:
            if name in fields and not fits(fields[name]):
                raise Fault(f"the {name} of a {self.tag} has a wrong type", self.tag).at_key(name)


def _encode_into(
    body: dict[str, Any], fields: dict[str, Any], names: tuple[str, ...], depth: int
) -> None:
    for name in names:
        if name not in fields:
            raise Fault("the field has no value; use the class's constructor").at_key(name)
        item = fields[name]
        try:
            body[name] = item if item is None else enc(item, depth)
        except Fault as fault:
            fault.at_key(name)
            raise


def _decode_field(document: Any, name: str, depth: int) -> Any:
    try:
        return dec(document, depth)
    except Fault as fault:
        fault.at_key(name)
        raise
