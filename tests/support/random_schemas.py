"""Random JSON schemas of everything that a schema may say, right or wrong, with values that often meet a limit."""

import random
from typing import Any, Final

Json = dict[str, Any]

_NAMES: Final = ("a", "b", "a_b", "a-b", "\u00e9", "a b", "*", "root", "string", 'q"', "item", "0")
_DEFINITIONS: Final = ("A", "B", "A_b", "A-b", "A-item", "C")
_VALUES: Final = (
    *(1, 1.5, 0.1, -0.0, 1e-7, 1e22, 123456789012, True, None, "x", "\u00e9", "a\nb", '"q\\', "\u2028", "\x01\x7f"),
    *([1, {"a": "b\n"}], {"z": 1}, "\U0001f600 \t"),
)
_LIMITS: Final = (0, 1, 9, 10, 99, 100, 101, 105, 110, 120, 999, 1000, 1001, 1010, 10**14, -1, -9, -10, -99, -100, -101)
_ATOMS: Final = (*"abcXYZ019 _-,:;=@#%&/<>~!'", "[a-z]", "[A-Z0-9]", "[abc-]", "[0-9.]", "[x*+?(){}|$]")
_ODD_ATOMS: Final = ("[^a]", "[a-Z]", "[-a]", "[\\d]", "[]", '[a"]', ".", "^", "$", "\u00e9", '"', "]", "}", "(?=a)")
_ESCAPED: Final = '^$.[]()|{}*+?dws-n"'
_REPETITIONS: Final = ("*", "+", "?", "{2}", "{1,3}", "{2,}", "{0,2}", "*?", "{0}", "{,2}", "{3,1}")


class SchemaWriter:
    """Writes random schemas."""

    def __init__(self, seed: int) -> None:
        self.chance: Final = random.Random(seed)

    def write(self) -> Json:
        """Writes a schema with definitions to which it may refer."""
        return {**self._schema(3), "$defs": {name: self._schema(2) for name in _DEFINITIONS}}

    def _may(self, chance: float) -> bool:
        return self.chance.random() < chance

    def _schema(self, depth: int) -> Json:
        if depth <= 0 or self._may(0.3):
            return self._scalar()
        match self.chance.randrange(7):
            case 0 | 1 | 2:
                return self._object(depth - 1)
            case 3:
                return {"type": "array", "items": self._schema(depth - 1), **self._counts("minItems", "maxItems")}
            case 4:
                items = [self._schema(depth - 1) for _ in range(self.chance.randint(0, 3))]
                return {"type": "array", "prefixItems": items, **(self._counts("minItems", "maxItems"))}
            case 5:
                schemas = [self._schema(depth - 1) for _ in range(self.chance.randint(1, 3))]
                return {self.chance.choice(["anyOf", "oneOf"]): schemas}
            case _:
                return {"$ref": f"#/$defs/{self.chance.choice(_DEFINITIONS)}"}

    def _object(self, depth: int) -> Json:
        names = self.chance.sample(_NAMES, self.chance.randint(0, 4))
        schema: Json = {"type": "object", "properties": {name: self._schema(depth) for name in names}}
        schema["required"] = self.chance.sample(names, self.chance.randint(0, len(names)))
        if self._may(0.6):
            schema["additionalProperties"] = False
        for chance, change in (
            (0.1, {"additionalProperties": self._schema(depth)}),
            (0.05, {"required": ["missing"]}),
            (0.05, {"minProperties": 1}),
        ):
            schema |= change if self._may(chance) else {}
        for keyword in ("type", "properties"):
            if self._may(0.1):
                del schema[keyword]
        return schema

    def _counts(self, least: str, most: str) -> Json:
        counts = {keyword: self.chance.choice([0, 1, 2, 3, 5]) for keyword in (least, most)}
        return {keyword: count for keyword, count in counts.items() if self._may(0.4)}

    def _scalar(self) -> Json:
        match self.chance.randrange(9):
            case 0:
                return {"type": "string", **self._counts("minLength", "maxLength")}
            case 1 | 2:
                return {"type": "integer", **self._bounds()}
            case 3:
                return {"type": self.chance.choice(["number", "boolean", "null", "string"])}
            case 4:
                return {"enum": self.chance.choices(_VALUES, k=self.chance.randint(1, 3))}
            case 5:
                return {"type": "string", "format": self.chance.choice(["uuid", "date", "email"])}
            case 6 | 7:
                return {"type": "string", "pattern": f"^{self._alternatives(3)}$"}
            case _:
                kinds = self.chance.sample(["string", "integer", "null", "boolean", "object"], 2)
                return {"type": kinds, **self._bounds(), **self._counts("minLength", "maxLength")}

    def _bounds(self) -> Json:
        keywords = ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum")
        return {keyword: self._limit() for keyword in keywords if self._may(0.4)}

    def _limit(self) -> float:
        digits = self.chance.randint(1, 14)
        random_limits = (self.chance.randint(-(10**digits), 10**digits), self.chance.uniform(-50, 50))
        return self.chance.choice([*random_limits, self.chance.choice(_LIMITS)])

    def _alternatives(self, depth: int) -> str:
        return "|".join(self._sequence(depth) for _ in range(self.chance.randint(1, 2)))

    def _sequence(self, depth: int) -> str:
        atoms = (self._atom(depth) for _ in range(self.chance.randint(1, 3)))
        return "".join(atom + (self.chance.choice(_REPETITIONS) if self._may(0.3) else "") for atom in atoms)

    def _atom(self, depth: int) -> str:
        match self.chance.randrange(20):
            case 0:
                return self.chance.choice(_ODD_ATOMS)
            case 1 | 2:
                return f"\\{self.chance.choice(_ESCAPED)}"
            case 3 | 4 | 5 | 6 if depth > 0:
                return f"{self.chance.choice(['(', '(?:'])}{self._alternatives(depth - 1)})"
            case _:
                return f"{self.chance.choice(_ATOMS)}"
