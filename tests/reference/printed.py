"""Reads from the source which errors the program prints, as patterns: what only a run knows is `{…}`."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
VALUE = "{…}"
SAYS_SOMETHING = 8
"""Letters without which a text may be anything."""


@dataclass(frozen=True)
class Printed:
    """One place that makes an error: what it may say, and what it may hint at; nothing where it hints at nothing."""

    path: str
    line: int
    messages: tuple[str, ...]
    hints: tuple[str, ...]
    has_hint: bool

    @property
    def is_passed_on(self) -> bool:
        """Tell whether all words were made elsewhere, where they are found as well."""
        return not any(len(words(text)) > 1 for text in self.messages) and not any(map(words, self.hints))


class Module:
    """One file of the program, and what its names stand for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tree = ast.parse(path.read_text(encoding="utf-8"))
        self.parents = {child: node for node in ast.walk(self.tree) for child in ast.iter_child_nodes(node)}

    @cached_property
    def functions(self) -> Mapping[str, ast.FunctionDef]:
        """Give functions and methods by their names."""
        return {node.name: node for node in ast.walk(self.tree) if isinstance(node, ast.FunctionDef)}

    @cached_property
    def imports(self) -> Mapping[str, tuple[str, str]]:
        """Give the dotted module and the name there of each name that is imported."""
        found = [node for node in ast.walk(self.tree) if isinstance(node, ast.ImportFrom)]
        return {one.asname or one.name: (node.module or "", one.name) for node in found for one in node.names}

    def patterns(self, node: ast.expr | None) -> tuple[str, ...]:
        """Say what an expression may be as text, `None` left out."""
        return tuple(dict.fromkeys(self._patterns(node, 0)))

    def _patterns(self, node: ast.expr | None, depth: int) -> Iterator[str]:
        if depth > 8:
            yield VALUE
            return
        match node:
            case None | ast.Constant(value=None):
                return
            case ast.Constant(value=value):
                yield str(value)
            case ast.JoinedStr(values=parts):
                yield "".join(self._part(part, depth) for part in parts)
            case ast.IfExp(body=one, orelse=other) | ast.BoolOp(values=[one, other]):
                yield from self._patterns(one, depth)
                yield from self._patterns(other, depth)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                yield from (a + b for a in self._patterns(left, depth) for b in self._patterns(right, depth))
            case ast.Call(func=ast.Attribute(value=ast.Constant(value=str(text)), attr="format")):
                yield re.sub(r"\{[^}]*\}", VALUE, text)
            case ast.Name() | ast.Attribute() | ast.Call():
                yield from self._named(node, depth)
            case ast.Starred(value=ast.Call(func=called)):
                module, name = self._where(called)
                function = module.functions.get(name) if module else None
                items = [item for one in ast.walk(function) for item in _items(one)] if function else []
                for item in items:
                    yield from module._patterns(item, depth + 1) if module else ()
                if not items:
                    yield VALUE
            case _:
                yield VALUE

    def _part(self, part: ast.expr, depth: int) -> str:
        """Give a part of an f-string: words where they are always the same."""
        if not isinstance(part, ast.FormattedValue):
            return "".join(self._patterns(part, depth))
        if part.format_spec is not None:
            return VALUE
        found = tuple(self._patterns(part.value, depth + 1))
        return found[0] if len(found) == 1 else VALUE

    def _named(self, node: ast.Name | ast.Attribute | ast.Call, depth: int) -> Iterator[str]:
        """Follow a name to what was assigned, or a call to what is returned."""
        called = node.func if isinstance(node, ast.Call) else node
        module, name = self._where(called)
        if isinstance(called, ast.Name) and module is self and not isinstance(node, ast.Call):
            found, values = self, tuple(self._assigned(called))
        else:
            found, values = module, ()
        if found is not None and not values:
            function = found.functions.get(name)
            if function is not None and not isinstance(node, ast.Name):
                values = tuple(one.value for one in ast.walk(function) if isinstance(one, ast.Return) and one.value)
            elif not isinstance(node, ast.Call):
                values = tuple(found.constant(name))
        if found is None or not values:
            yield VALUE
        else:
            for value in values:
                yield from found._patterns(value, depth + 1)

    def _where(self, node: ast.expr) -> tuple[Module | None, str]:
        """Say in which module a name is defined, and as what."""
        match node:
            case ast.Name(id=name) if name in self.imports:
                dotted, there = self.imports[name]
                return module_of(dotted), there
            case ast.Name(id=name) | ast.Attribute(value=ast.Name(id="self"), attr=name):
                return self, name
            case ast.Attribute(value=ast.Name(id=name), attr=there) if name in self.imports:
                return module_of(".".join(self.imports[name])), there
        return None, ""

    def constant(self, name: str) -> Iterator[ast.expr]:
        """Find what a name of the module or of a class stands for."""
        for node in ast.walk(self.tree):
            if isinstance(self.parents.get(node), ast.Module | ast.ClassDef):
                yield from _values(node, name)

    def _assigned(self, node: ast.Name) -> Iterator[ast.expr]:
        """Find what a local name may stand for here: going up, until a statement that surely was carried out."""
        child: ast.AST = node
        while (parent := self.parents.get(child)) is not None:
            for block in (getattr(parent, field, None) for field in ("body", "orelse", "finalbody")):
                if not isinstance(block, list) or child not in block:
                    continue
                for before in reversed(block[: block.index(child)]):
                    found = tuple(_values(before, node.id))
                    yield from found or (one for inner in ast.walk(before) for one in _values(inner, node.id))
                    if found:
                        return
            if isinstance(parent, ast.For) and node.id in ast.unparse(parent.target).strip("()").split(", "):
                yield from (ast.Starred(call) for call in [parent.iter] if isinstance(call, ast.Call))
                return
            if isinstance(parent, ast.FunctionDef) and node.id in (names := _parameters(parent)):
                yield from self._given(parent, names, node.id)
                return
            child = parent

    def _given(self, function: ast.FunctionDef, names: Sequence[str], name: str) -> Iterator[ast.expr]:
        """Find what a function of this file alone is called with; who is given a message is looked at by itself."""
        if not function.name.startswith("_") or "hint" in names:
            return
        for call in ast.walk(self.tree):
            if isinstance(call, ast.Call) and ast.unparse(call.func).removeprefix("self.") == function.name:
                yield from (value for one, value in _arguments(names, call).items() if one == name)


def _items(node: ast.AST) -> Iterator[ast.expr]:
    """Give what a function's statement adds to the several things that the function gives."""
    match node:
        case ast.Yield(value=ast.expr() as value):
            yield value
        case ast.Return(value=ast.Tuple(elts=values)):
            yield from values
        case ast.Return(value=ast.Call(func=ast.Name(id="tuple"), args=[ast.GeneratorExp(elt=value)])):
            yield value


def _values(node: ast.AST, name: str) -> Iterator[ast.expr]:
    """Give what a statement assigns to a name; of a table of pairs, each pair's part."""
    match node:
        case ast.Assign(targets=[ast.Name(id=target)], value=value) if target == name:
            yield value
        case ast.AnnAssign(target=ast.Name(id=target), value=ast.expr() as value) if target == name:
            yield value


@cache
def module_of(dotted: str) -> Module | None:
    """Read a module of the program; None when it is another's."""
    path = ROOT / f"{dotted.replace('.', '/')}.py"
    return Module(path) if path.exists() else None


@cache
def program() -> Sequence[Module]:
    """Read the whole program."""
    paths = sorted((ROOT / "generator").rglob("*.py"))
    names = (".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths)
    return tuple(module for name in names if (module := module_of(name)) is not None)


def words(text: str) -> list[str]:
    """Give the words of a pattern that are always there.

    >>> words("`{…}` has no digest in v2")
    ['has', 'no', 'digest', 'in', 'v2']
    """
    return re.findall(r"[a-z0-9]+", text.replace(VALUE, " ").replace("'", "").lower())


def fits(pattern: str, text: str, *, is_after_a_place: bool = False) -> bool:
    """Tell whether a text can be what a pattern stands for.

    >>> fits("`{…}` has no digest", "release k8s-1.36: `a:1` has no digest", is_after_a_place=True)
    True
    """
    found = _expression(pattern).fullmatch(text)
    return found is not None and (is_after_a_place or not found["place"])


@cache
def _expression(pattern: str) -> re.Pattern[str]:
    texts = ".*".join(re.escape(part) for part in pattern.split(VALUE))
    return re.compile(f"(?P<place>.*[:`|] )??{texts}")


@cache
def sentences() -> frozenset[str]:
    """Give every text of the program and of what runs on nodes that says something by itself."""
    agents = [ROOT / "userdata/node/usr/local/sbin/hardway", *sorted((ROOT / "userdata/agent").rglob("*.py"))]
    return frozenset(
        text.strip()
        for module in (*program(), *map(Module, agents))
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Constant | ast.JoinedStr) and not isinstance(module.parents[node], ast.JoinedStr)
        for text in module.patterns(node)
        if sum(map(len, words(text))) >= SAYS_SOMETHING
    )


@cache
def errors() -> Sequence[Printed]:
    """Find every place that makes an error, in the order of the files."""
    carriers = _carriers()
    calls = ((module, node) for module in program() for node in ast.walk(module.tree) if isinstance(node, ast.Call))
    found = (printed for module, call in calls if (printed := _printed(module, call, carriers)) is not None)
    return sorted(found, key=lambda one: (one.path, one.line))


def _printed(module: Module, call: ast.Call, carriers: Mapping[str, Sequence[str]]) -> Printed | None:
    names = carriers.get(_callee(module, call))
    if names is None:
        return None
    given = _arguments(names, call)
    message, hint = given.get("message", given.get("why")), given.get("hint")
    if message is None or ("verb" in names and ast.unparse(given["verb"]) != "'refuse'"):
        return None
    has_hint = not (hint is None or (isinstance(hint, ast.Constant) and hint.value is None))
    path = module.path.relative_to(ROOT).as_posix()
    return Printed(path, call.lineno, module.patterns(message), module.patterns(hint), has_hint)


def _callee(module: Module, call: ast.Call) -> str:
    """Name what is called; of `super().__init__` the class that is extended."""
    name = ast.unparse(call.func)
    if name == "super().__init__":
        node: ast.AST = call
        while not isinstance(node, ast.ClassDef):
            node = module.parents[node]
        return ast.unparse(node.bases[0])
    return name.rpartition(".")[2]


def _carriers() -> Mapping[str, Sequence[str]]:
    """Find what takes a message and a hint, and the names of what it is given by place."""
    found: dict[str, Sequence[str]] = {}
    classes = [node for module in program() for node in ast.walk(module.tree) if isinstance(node, ast.ClassDef)]
    for node in classes:
        own = [one for one in node.body if isinstance(one, ast.FunctionDef) and one.name == "__init__"]
        fields = [ast.unparse(one.target) for one in node.body if isinstance(one, ast.AnnAssign)]
        found[node.name] = _parameters(own[0]) if own else fields
    for node in classes:
        base = ast.unparse(node.bases[0]) if node.bases else ""
        if not found[node.name] and base in found:
            found[node.name] = found[base]
    for module in program():
        taken = {name: _parameters(one) for name, one in module.functions.items() if name != "__init__"}
        found |= {name: names for name, names in taken.items() if "hint" in names}
    return {name: names for name, names in found.items() if "hint" in names and {"message", "why"} & set(names)}


def _arguments(names: Sequence[str], call: ast.Call) -> Mapping[str, ast.expr]:
    by_name = {one.arg: one.value for one in call.keywords if one.arg}
    return {**dict(zip(names, call.args, strict=False)), **by_name}


def _parameters(function: ast.FunctionDef) -> Sequence[str]:
    every = (*function.args.args, *function.args.kwonlyargs)
    return [one.arg for one in every if one.arg != "self"]
